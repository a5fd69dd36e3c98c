"""Thumbnails for the report, made on the workers from the raw tars."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ray
from PIL import Image, ImageColor

from pdm.data.decisions import Row
from pdm.data.decoding.pixels import REDUCTIONS, Box, Unreadable, decode_view
from pdm.data.decoding.resize import crop_and_resize
from pdm.data.pixels import Pixels
from pdm.data.shards.tars import read_at
from pdm.machine.cluster import result_of
from pdm.progress import Progress

SIDE_PX = 320  # of the square that a thumbnail fits into
QUALITY = 70
DETAIL_SIZE = (240, 160)  # of a detail, shown pixel for pixel
DETAIL_QUALITY = 88  # high enough that artefacts are the picture's own
IMAGES_PER_TASK = 8


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """`data:` URLs of the upright picture, and of a detail of its crop if requested."""

    picture: str
    detail: str | None


def make_thumbnails(rows: Iterable[Row], detailed: set[str], raw: Path) -> dict[str, Thumbnail]:
    """Thumbnails by key, for the rows with a picture.

    Only files that `curate` has decoded, in a process of its own, are decoded again, so that no
    file can crash the decoder here.

    Args:
        rows: Decisions.
        detailed: Keys for which a detail is requested.
        raw: Written by `scrape`.
    """
    shown = [row for row in rows if row["status"] == "ok" and row["transparent_share"] is not None]
    progress = Progress("report", len(shown))
    make = ray.remote(num_cpus=1)(_make_thumbnails)
    waiting = [
        make.remote(shown[start : start + IMAGES_PER_TASK], detailed, raw)
        for start in range(0, len(shown), IMAGES_PER_TASK)
    ]
    made: dict[str, Thumbnail] = {}
    while waiting:
        (done,), waiting = ray.wait(waiting, num_returns=1)
        found = result_of(done)
        made |= found
        progress.advance(len(found))
    return made


def _make_thumbnails(rows: list[Row], detailed: set[str], raw: Path) -> dict[str, Thumbnail]:
    made = {}
    for row in rows:
        detail = row["key"] in detailed
        try:
            pixels = _pixels(row, raw, whole=detail)
        except Unreadable:
            continue  # the report shows the row without a picture
        small = Image.fromarray(pixels)
        small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        close = _encoded(Image.fromarray(_detail(row, pixels)), DETAIL_QUALITY) if detail else None
        made[row["key"]] = Thumbnail(_encoded(small, QUALITY), close)
    return made


def _pixels(row: Row, raw: Path, *, whole: bool) -> Pixels:
    times = max(row["width_px"], row["height_px"]) // (2 * SIDE_PX)
    reduction = 1 if whole else max(one for one in REDUCTIONS if one <= max(times, 1))
    content = read_at(raw / row["tar"], row["offset"], row["size"])
    return decode_view(content, reduction, ImageColor.getrgb(row["background"])[:3]).pixels


def _detail(row: Row, pixels: Pixels) -> Pixels:
    """The part with the most contrast of the finished crop, or of the picture without a crop."""
    if row["crop_width_px"] is not None:
        box = Box(*(row[f"crop_{name}_px"] for name in ("left", "top", "width", "height")))
        pixels = crop_and_resize(pixels, box, row["target_width_px"], row["target_height_px"])
    across, down = DETAIL_SIZE
    step = down // 2
    starts = [
        (top, left)
        for top in range(0, max(pixels.shape[0] - down, 0) + 1, step)
        for left in range(0, max(pixels.shape[1] - across, 0) + 1, step)
    ]
    green = pixels[:, :, 1].astype(np.int16)
    steps = np.abs(np.diff(green, axis=1))
    top, left = max(
        starts, key=lambda at: steps[at[0] : at[0] + down, at[1] : at[1] + across].sum()
    )
    return np.ascontiguousarray(pixels[top : top + down, left : left + across])


def _encoded(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=quality)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
