"""Judges one picture by itself: bytes in, what was measured and the first rule that hits out.

This is what runs on the workers. Pixels never leave it.
"""

import dataclasses
import hashlib
from pathlib import Path

from pdm.config.curate import CurateConfig
from pdm.curation.curate import rules, scores
from pdm.curation.curate.crop import choose_crop
from pdm.data.decisions import Row
from pdm.data.pixels import Unreadable, cut, decode, read_header
from pdm.data.tars import read_at


def judge_row(row: Row, raw: Path, config: CurateConfig) -> Row:
    """Read a fetched image from its raw shard and judge it; returns the columns decided here.

    A keeper comes back as `kept` without a reason; whether it is a duplicate only the whole set
    can tell. Bytes that differ from those fetched make the row `failed`: fetching again may help.
    """
    content = read_at(raw / row["tar"], row["offset"], row["size"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        detail = f"The bytes in {row['tar']} are not those that were fetched; scrape again."
        return {"key": row["key"], "outcome": "failed", "reason": "damaged", "detail": detail}
    return {"key": row["key"], **judge(content, config)}


def judge(content: bytes, config: CurateConfig) -> Row:
    """Measure and judge the bytes of an image file."""
    try:
        header = read_header(content)
        seen: Row = {name: getattr(header, name) for name in _HEADER_COLUMNS}
        if drop := rules.reason_from_header(header, config):
            return seen | _dropped(drop)
        pixels = decode(content)
    except Unreadable as error:
        return _dropped(rules.Drop("unreadable", f"The file cannot be decoded: {error}."))
    size = (pixels.shape[1], pixels.shape[0])
    box = choose_crop(pixels, size, (config.width_px, config.height_px))
    measured = scores.measure(cut(pixels, box, config.width_px, config.height_px))
    seen |= dataclasses.asdict(measured)
    seen |= {"phash": scores.perceptual_hash(pixels)}
    if drop := rules.reason_from_scores(measured, config):
        return seen | _dropped(drop)
    return seen | {f"crop_{name}": value for name, value in dataclasses.asdict(box).items()} | _KEPT


_HEADER_COLUMNS = ("width_px", "height_px", "format", "mode")
_KEPT = {"outcome": "kept", "reason": None, "detail": None}


def _dropped(drop: rules.Drop) -> Row:
    return {"outcome": "dropped", "reason": drop.reason, "detail": drop.detail}
