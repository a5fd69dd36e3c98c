"""Why one picture was kept or dropped, in words: `pyramid explain KEY|URL|NAME`."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pdm.data.decisions import Row, load
from pdm.data.manifest import FILE_NAME, read
from pdm.data.tars import members
from pdm.errors import BadInput

LIMITS = {  # score -> its limits in section curate: (setting, +1 for a minimum, -1 for a maximum)
    "brightness": (("min_brightness", 1), ("max_brightness", -1)),
    "contrast": (("min_contrast", 1),),
    "detail_share": (("min_detail_share", 1),),
    "sharpness": (("min_sharpness", 1),),
    "high_frequency": (("min_high_frequency", 1),),
}
MAX_NAMED = 5


def explain(name: str, *, decisions: Path, shards: Path) -> str:
    """What was decided about one picture, and how close it was.

    Args:
        name: Its key, the beginning of its key, its URL, or the end of its URL (a file's name);
            enough of it to mean one picture.
        decisions: Written by the stage `curate`.
        shards: Written by the stage `shard`; may be absent.

    Raises:
        BadInput: No picture is meant, or several; the text names the nearest.
    """
    rows = load(decisions)
    summary = json.loads((decisions / "summary.json").read_text(encoding="utf-8"))
    row = _find(name, rows)
    lines = [
        _verdict(row),
        *_origin(row),
        *_scores(row, summary["limits"]),
        *_duplicates(row, rows),
        *_crop(row),
        *_place(row, shards),
    ]
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Addresses come from outside: no control character reaches the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _find(name: str, rows: list[Row]) -> Row:
    """The one row that is meant; an exact match goes before a part."""
    tests: tuple[Callable[[Row], bool], ...] = (
        lambda row: name in (row["key"], row["url"]),
        lambda row: str(row["key"]).startswith(name),
        lambda row: str(row["url"]).endswith(name),
    )
    for test in tests if name else ():
        found = [row for row in rows if test(row)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"{row['key']} ({row['url']})" for row in found[:MAX_NAMED])
            more = ", ..." if len(found) > MAX_NAMED else ""
            raise BadInput(
                f"'{name}' may mean {len(found)} pictures: {listed}{more}; give more of it"
            )
    raise BadInput(f"no picture is called '{name}'; the nearest are {_nearest(name, rows)}")


def _nearest(name: str, rows: list[Row]) -> str:
    names = {word: row for row in rows for word in (row["key"], str(row["url"]).rsplit("/")[-1])}
    names |= {row["url"]: row for row in rows}
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return ", ".join(f"{word} ({names[word]['key']})" for word in close) or "none: there are none"


def _verdict(row: Row) -> str:
    if row["outcome"] == "kept":
        return f"{row['key']} was kept."
    verdict = f"{row['key']} was not kept ({row['outcome']}: {row['reason']})."
    return f"{verdict} {row['detail'] or ''}".rstrip()


def _origin(row: Row) -> Iterator[str]:
    yield f"  address   {row['url']}"
    if row["final_url"] not in (None, row["url"]):
        yield f"  led to    {row['final_url']}"
    stated = [f"{name} {row[name] or 'not stated'}" for name in ("licence", "author")]
    yield f"  source    {', '.join((row['source'], *stated))}"
    if row["status"] != "ok":
        yield f"  fetched   no: {row['error_message'] or row['reason']}"
        return
    when = f"{row['retrieved_at']}, " if row["retrieved_at"] else ""
    yield f"  fetched   {when}{row['num_bytes']:,} bytes, sha256 {row['sha256']}, in {row['tar']}"
    if row["width_px"] is not None:
        size = f"{row['width_px']} x {row['height_px']} pixels"
        yield f"  picture   {size}, {row['format']}, {row['mode']}"


def _scores(row: Row, limits: Mapping[str, Any]) -> Iterator[str]:
    """Every measured score beside its limits, and how far it is from them."""
    for score, bounds in LIMITS.items():
        value = row[score]
        if value is not None:
            stated = "; ".join(_distance(value, limits[name], sign, name) for name, sign in bounds)
            yield f"  {score:<15} {value:<8.4g} {stated}"


def _distance(value: float, limit: float, sign: int, name: str) -> str:
    margin = sign * (value - limit)
    side = "inside by" if margin >= 0 else "OUTSIDE by"
    share = f" ({abs(margin) / limit:.0%})" if limit else ""
    return f"{name} {limit:g}: {side} {abs(margin):.4g}{share}"


def _duplicates(row: Row, rows: list[Row]) -> Iterator[str]:
    by_key = {other["key"]: other for other in rows}
    keeper = by_key.get(row["duplicate_of"])
    if keeper is not None:
        yield f"  kept instead: {keeper['key']} ({keeper['url']})"
    for other in rows:
        if other["duplicate_of"] == row["key"]:
            yield f"  kept instead of {other['key']} ({other['url']}), a {other['reason']}"


def _crop(row: Row) -> Iterator[str]:
    if row["outcome"] == "kept":
        width, height = row["crop_width_px"], row["crop_height_px"]
        times = width / row["target_width_px"]
        yield (
            f"  crop      {width} x {height} pixels at left {row['crop_left_px']}, "
            f"top {row['crop_top_px']}; reduced {times:.2f} times to "
            f"{row['target_width_px']} x {row['target_height_px']}"
        )


def _place(row: Row, shards: Path) -> Iterator[str]:
    """In which shard it is now. A picture that is kept may wait for the next run of `shard`."""
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
    yield f"  shard     in none of {shards}; run `pyramid shard`"
