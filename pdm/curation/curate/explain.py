"""Explains why one picture was kept or dropped: `pyramid curate explain KEY|URL|NAME`.

Only the needed columns and rows are read, so it takes seconds for a million pictures.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pdm.curation.limits import Bound
from pdm.curation.score_table import DIFFERENCE, SCORES
from pdm.data.decisions import Row, load_columns, load_matching
from pdm.data.printable import printable
from pdm.data.shards.manifest import FILE_NAME, read
from pdm.data.shards.tars import members
from pdm.data.summary import read_limits
from pdm.errors import BadInput

MAX_NAMED = 5  # pictures in an error
MAX_LISTED = 20  # pictures of a group
PIECE = 3  # letters; similar names share many such pieces
MAX_PIECES = 60
MAX_NEAR = 50  # names that are compared letter by letter


def explain(name: str, *, decisions: Path, shards: Path) -> str:
    """Describe the decision on one picture, and its scores beside their limits.

    Args:
        name: Its key or the beginning of it, its URL (before or after redirects), the end of its
            URL, such as the file name, or the beginning of the file name. It must match one picture
            only.
        decisions: Written by the stage `curate`.
        shards: Written by the stage `shard`; may be absent.

    Raises:
        BadInput: No picture matches, or several; the message lists the nearest. Or `decisions`
            cannot be read.
    """
    [row] = load_matching(decisions, "key", [_find(name, decisions)])
    limits = read_limits(decisions)
    lines = [
        _verdict(row),
        *_origin(row),
        *_scores(row, limits),
        *_group(row, decisions),
        *_crop(row),
        *_place(row, shards),
    ]
    return "\n".join(map(printable, lines))


def _find(name: str, decisions: Path) -> str:
    """The key of the picture that a name matches. Exact matches come before partial ones."""
    names = load_columns(decisions, ("key", "url", "final_url"))
    for matches in _matches(name, names) if name else ():
        if len(matches) == 1:
            return str(matches["key"][0])
        if len(matches):
            rows = matches.slice(0, MAX_NAMED).to_pylist()
            listed = ", ".join(f"{row['key']} ({row['url']})" for row in rows)
            more = ", ..." if len(matches) > MAX_NAMED else ""
            raise BadInput(
                f"'{name}' matches {len(matches)} images: {listed}{more}; give a longer part of "
                "the name"
            )
    raise BadInput(f"no image matches '{name}'; {_nearest(name, names)}")


def _matches(name: str, names: pa.Table) -> Iterator[pa.Table]:
    for column in ("key", "url", "final_url"):
        yield names.filter(pc.equal(names[column], name))
    yield names.filter(pc.starts_with(names["key"], name))
    yield names.filter(pc.ends_with(names["url"], name))
    file_name = rf"(^|/){re.escape(name)}[^/]*$"
    yield names.filter(pc.match_substring_regex(names["url"], file_name))


def _nearest(name: str, names: pa.Table) -> str:
    """Name the three most similar names, among those that share most pieces with it."""
    key_of: dict[str, str] = {}
    for row in names.take(_rows_sharing_pieces(name, names)).to_pylist():
        words = (row["key"], row["url"], row["url"].rsplit("/")[-1])
        key_of |= dict.fromkeys(words, row["key"])
    close = difflib.get_close_matches(name, key_of, n=3, cutoff=0.0)
    listed = ", ".join(f"{word} ({key_of[word]})" for word in close)
    return f"the nearest are {listed}" if close else "there are no images"


def _rows_sharing_pieces(name: str, names: pa.Table) -> pa.Array:
    """Numbers of the rows whose key or URL shares most pieces of a few letters with a name."""
    text = pc.binary_join_element_wise(names["key"], names["url"], " ")
    pieces = sorted({name[at : at + PIECE] for at in range(max(1, len(name) - PIECE + 1))})
    shared = np.zeros(len(names), dtype=np.int64)
    for piece in pieces[:MAX_PIECES]:
        shared += pc.match_substring(text, piece, ignore_case=True).to_numpy()
    return pa.array(np.argsort(-shared, kind="stable")[:MAX_NEAR])


def _verdict(row: Row) -> str:
    if row["outcome"] == "kept":
        return f"{row['key']} was kept."
    verdict = f"{row['key']} was not kept ({row['outcome']}: {row['reason']})."
    return f"{verdict} {row['detail'] or ''}".rstrip()


def _origin(row: Row) -> Iterator[str]:
    yield f"  address   {row['url']}"
    if row["final_url"] not in (None, row["url"]):
        yield f"  redirect  {row['final_url']}"
    stated = [f"{name} {row[name] or 'not stated'}" for name in ("licence", "author")]
    yield f"  source    {', '.join((row['source'], *stated))}"
    if row["status"] != "ok":
        yield f"  fetched   no: {row['error_message'] or row['reason']}"
        return
    when = f"{row['retrieved_at']}, " if row["retrieved_at"] else ""
    yield f"  fetched   {when}{row['num_bytes']:,} bytes, sha256 {row['sha256']}, in {row['tar']}"
    if row["width_px"] is not None:
        size = f"{row['width_px']} x {row['height_px']} pixels"
        yield f"  image     {size}, {row['format']}, {row['mode']}"


def _scores(row: Row, limits: Mapping[str, Any]) -> Iterator[str]:
    """Every measured score, its limits, and its distance from them."""
    for score in (*SCORES, DIFFERENCE):
        value = score.of(row)
        if value is not None:
            stated = "; ".join(_distance(value, bound) for bound in score.bounds(limits))
            yield f"  {score.name:<17} {value:<8.4g} {stated or 'no limit'}"


def _distance(value: float, bound: Bound) -> str:
    margin = bound.margin(value)
    side = "inside by" if margin >= 0 else "OUTSIDE by"
    share = f" ({abs(margin) / bound.value:.0%})" if bound.value else ""
    return f"{bound.name} {bound.value:g}: {side} {abs(margin):.4g}{share}"


def _group(row: Row, decisions: Path) -> Iterator[str]:
    """The cluster of pictures that it belongs to."""
    if row["nearest"]:
        yield f"  nearest   {row['nearest']}, of the kept images"
    alike = load_matching(decisions, "cluster", [row["cluster"]]) if row["cluster"] else []
    if len(alike) < 2:
        return
    yield f"  group     {len(alike):,} images are alike, directly or through others:"
    for one in alike[:MAX_LISTED]:
        verdict = (
            "kept" if one["outcome"] == "kept" else f"{one['reason']} of {one['duplicate_of']}"
        )
        this = " (this one)" if one["key"] == row["key"] else ""
        size = f"{one['width_px']} x {one['height_px']}"
        yield f"            {one['key']}{this} {verdict}, {size}, {one['url']}"
    if len(alike) > MAX_LISTED:
        yield f"            and {len(alike) - MAX_LISTED:,} more"


def _crop(row: Row) -> Iterator[str]:
    """The crop, or the part that was judged."""
    if row["crop_width_px"] is not None:
        width, height = row["crop_width_px"], row["crop_height_px"]
        times = width / row["target_width_px"]
        verb = "crop" if row["outcome"] == "kept" else "judged"
        yield (
            f"  {verb:<9} {width} x {height} pixels at left {row['crop_left_px']}, "
            f"top {row['crop_top_px']}; reduced {times:.2f} times to "
            f"{row['target_width_px']} x {row['target_height_px']}"
        )


def _place(row: Row, shards: Path) -> Iterator[str]:
    """The shard that contains it. A kept picture may have to wait for the next run of `shard`."""
    if row["outcome"] != "kept":
        return
    if not (shards / FILE_NAME).exists():
        yield f"  shard     none yet: {shards} has no {FILE_NAME}; run `pyramid shard`"
        return
    for split, files in read(shards).splits.items():
        for file in files:
            path = shards / file.name
            if path.exists() and any(m.name.split(".")[0] == row["key"] for m in members(path)):
                yield f"  shard     {path}, split {split}"
                return
    yield f"  shard     none in {shards}; run `pyramid shard`"
