"""Sections of the data card that count what the sources state: hosts, captions, licences."""

from collections import Counter
from collections.abc import Iterable

from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.report.captions import caption_facts
from pdm.data.decisions import Row
from pdm.pages.markdown import plain_table

MAX_LISTED = 100  # names in a table; the others are summed up
STATED = ("licence", "author", "caption")  # a source may leave these out


def source_section(rows: list[Row]) -> str:
    """Which lists and hosts the pictures are from, and when they were fetched."""
    return f"""## Sources

{_most_frequent("source", (row["source"] for row in rows))}
{_fetch_period(rows)}

{_most_frequent("host", map(_host, rows))}"""


def licence_section(rows: list[Row]) -> str:
    """Which licences and authors are stated, and of how many pictures."""
    titles = ("", "images that state it", "that do not")
    return f"""## Licences and authors

Each image keeps the licence of its source, which is in `key.json`.

{plain_table(titles, _lines_of_stated_facts(rows))}
{_most_frequent("licence", (row["licence"] for row in rows))}
{_most_frequent("author", (row["author"] for row in rows))}"""


def class_section(rows: list[Row]) -> str:
    """The section on classes; empty if no picture has one."""
    named = [row["class_name"] or "none" for row in rows if "class_name" in row]
    if set(named) <= {"none"}:
        return ""
    return f"## Classes\n\n{_most_frequent('class', named)}"


def caption_section(rows: list[Row]) -> str:
    """The section on captions; empty if no picture has one."""
    facts = caption_facts(rows)
    if facts is None:
        return ""
    lengths = [(name, f"{count:,}") for name, count in facts.lengths]
    return f"""## Captions

{facts.num_with:,} of {len(rows):,} images ({facts.share_with:.1%}) have a caption,
{facts.num_several:,} of them several. The median caption has {facts.median_words:,} words, the
longest {facts.longest_words:,}.

{plain_table(("words", "captions"), lengths)}"""


def box_section(boxes: BoxCounts) -> str:
    """The section on boxes; empty if no picture has one."""
    if not boxes.num_boxes:
        return ""
    lines = [(name, f"{count:,}") for name, count in boxes.by_class.most_common(MAX_LISTED)]
    left_out = f"\n{boxes.left_out_text}" if boxes.left_out else ""
    return f"""## Boxes

{boxes.num_pictures:,} images have boxes, {boxes.num_boxes:,} in all, at most {boxes.most:,} on
one. {boxes.num_lost:,} more were left out: less than a quarter of each is in the crop.{left_out}

{plain_table(("class", "boxes"), lines)}"""


def _lines_of_stated_facts(rows: list[Row]) -> list[tuple[str, str, str]]:
    counts = {name: sum(bool(row[name]) for row in rows) for name in STATED}
    return [(name, f"{count:,}", f"{len(rows) - count:,}") for name, count in counts.items()]


def _fetch_period(rows: list[Row]) -> str:
    times = sorted(row["retrieved_at"] for row in rows if row["retrieved_at"])
    if not times:
        return "No image was fetched over a network."
    period = f"between {times[0]} and {times[-1]}" if times[0] != times[-1] else f"at {times[0]}"
    return f"{len(times):,} of {len(rows):,} images were fetched over a network, {period}:"


def _host(row: Row) -> str:
    """Host of a picture's final URL, or "(files)"."""
    _, slashes, rest = str(row["final_url"] or row["url"]).partition("://")
    return rest.partition("/")[0].rpartition("@")[2] if slashes else "(files)"


def _most_frequent(title: str, names: Iterable[str | None]) -> str:
    """Table of the most frequent names and their counts; the others summed up in one line."""
    counts = Counter(name or "not stated" for name in names)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [(name, f"{count:,}") for name, count in ranked[:MAX_LISTED]]
    others = ranked[MAX_LISTED:]
    if others:
        lines.append((f"{len(others):,} others", f"{sum(count for _, count in others):,}"))
    return plain_table((title, "images"), lines)
