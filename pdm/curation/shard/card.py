"""The data card: `README.md` of a folder of shards, with the YAML head that dataset hubs read."""

import html
from collections import Counter
from collections.abc import Iterable, Sequence

import yaml

from pdm.data.decisions import Row
from pdm.data.shards.manifest import Manifest

MAX_LISTED = 100  # names in a table; the rest is summed up
STATED = ("licence", "author", "caption")  # what a source may leave out

FIELDS = (  # of a record, as `write` stores them
    ("key", "name of the sample"),
    ("split", "train or val"),
    ("url, final_url", "where the picture was named, and where it was after redirects"),
    ("retrieved_at", "when it was fetched, UTC"),
    ("source", "which list or folder named it"),
    ("caption, licence, author", "as the source gave them; null if it gave none"),
    ("class_name", "as the source gave it; absent if it gave none"),
    ("sha256, num_bytes", "of the source file"),
    ("original_width_px, original_height_px", "of the source, upright"),
    ("crop", "the part of the source that was cut out, in its pixels"),
    ("width_px, height_px, image_sha256", "of the crop as it stands in the tar"),
)


def data_card(manifest: Manifest, rows: list[Row]) -> str:
    """Markdown that says what is in the shards, where it came from and how to read it.

    Args:
        manifest: Of the shards.
        rows: The decisions on the images that are in them.
    """
    width, height = manifest.facts["width_px"], manifest.facts["height_px"]
    extension = manifest.facts["extension"]
    head = {
        "pretty_name": f"Pictures of {width} x {height} pixels",
        "task_categories": ["unconditional-image-generation"],
        "tags": ["webdataset", "image"],
        "license": "other",
        "size_categories": [_size_category(len(rows))],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "train-*.tar"},
                    {"split": "validation", "path": "val-*.tar"},
                ],
            }
        ],
    }
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# Pictures of {width} x {height} pixels

Crops of {len(rows):,} pictures, each exactly {width} x {height} pixels, sRGB, upright, never
enlarged, as WebDataset tars of `key.{extension}` and `key.json`.

{_table(("split", "pictures", "shards", "bytes"), _split_lines(manifest))}
An image's split and shard follow from hashes of its content and its key. `manifest.json` holds the
sha256 of every shard; a tar outside it does not belong to the data. `croissant.json` describes the
same files in MLCommons' Croissant format. `pyramid data verify` finds any damage.

## What is known about each picture

{_table(("field of `key.json`", "meaning"), FIELDS)}
## Sources

{_table(("source", "pictures"), _most(row["source"] for row in rows))}
{_fetched(rows)}

{_table(("host", "pictures"), _most(map(_host, rows)))}
{_classes(rows)}## Licences and authors

Each picture keeps the licence of its source; `key.json` names it.

{_table(("", "pictures that state it", "that do not"), _stated_lines(rows))}
{_table(("licence", "pictures"), _most(row["licence"] for row in rows))}
{_table(("author", "pictures"), _most(row["author"] for row in rows))}
## Known limits

- Licences, authors and captions are those that the sources state; nobody has checked them.
- What was dropped, and for which reason, stands in the data report. The rules were measured on
  photographs and drawn landscapes; other pictures may be judged less well.
- Near duplicates are found by a perceptual hash: two views of one place count as two pictures.
- Pictures may show people who did not agree to it. Nothing in the data names them.
- The pictures are what the named sources hold: no fair sample of places, people or times.

## Opting out and taking down

Pictures whose server said no in its headers (X-Robots-Tag noai, tdm-reservation and their like) or
in robots.txt were not kept. Whoever has rights in a picture, or is seen in one, may have it
removed: write to whoever hands out this copy, with the picture's URL or key. Its holder lists the
URL or the sha256 of the source file under `scrape.removed` and runs the pipeline again; the next
version is without it, in shards, manifest and caches.

## Reading it

```python
import pathlib, webdataset

shards = sorted(map(str, pathlib.Path("shards").glob("train-*.tar")))
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    pixels, facts = sample["{extension}"], sample["json"]  # ({height}, {width}, 3) and a dict
```

```python
import datasets  # Hugging Face; reads the head of this file

for sample in datasets.load_dataset("shards", split="train"):
    picture, facts = sample["{extension}"], sample["json"]  # a PIL image and a dict
```

```python
import mlcroissant

for sample in mlcroissant.Dataset("shards/croissant.json").records("pictures"):
    key, picture = sample["pictures/key"], sample["pictures/image"]
```
"""


def _classes(rows: list[Row]) -> str:
    """A section, where pictures have classes."""
    named = [row["class_name"] or "none" for row in rows if "class_name" in row]
    if set(named) <= {"none"}:
        return ""
    return f"## Classes\n\n{_table(('class', 'pictures'), _most(named))}\n"


def _split_lines(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    return [
        (
            split,
            f"{manifest.num_samples(split):,}",
            f"{len(shards):,}",
            f"{sum(shard.num_bytes for shard in shards):,}",
        )
        for split, shards in manifest.splits.items()
    ]


def _stated_lines(rows: list[Row]) -> list[tuple[str, str, str]]:
    counts = {name: sum(bool(row[name]) for row in rows) for name in STATED}
    return [(name, f"{count:,}", f"{len(rows) - count:,}") for name, count in counts.items()]


def _fetched(rows: list[Row]) -> str:
    times = sorted(row["retrieved_at"] for row in rows if row["retrieved_at"])
    if not times:
        return "No picture was fetched over a network."
    several = f"between {times[0]} and {times[-1]}" if times[0] != times[-1] else f"at {times[0]}"
    return f"{len(times):,} of {len(rows):,} pictures were fetched over a network, {several}:"


def _host(row: Row) -> str:
    """Of the address that a picture came from at last; a name of a file has none."""
    _, slashes, rest = str(row["final_url"] or row["url"]).partition("://")
    return rest.partition("/")[0].rpartition("@")[2] if slashes else "(files)"


def _most(names: Iterable[str | None]) -> list[tuple[str, str]]:
    """The most frequent ones; the others in one line."""
    counts = Counter(name or "not stated" for name in names)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [(name, f"{count:,}") for name, count in ranked[:MAX_LISTED]]
    others = ranked[MAX_LISTED:]
    if others:
        listed.append((f"{len(others):,} others", f"{sum(count for _, count in others):,}"))
    return listed


def _table(titles: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    rows = [titles, ("---",) * len(titles), *(tuple(map(_cell, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(text: str) -> str:
    """Names come from outside: no markup, no break out of the cell."""
    return html.escape(" ".join(text.split())).replace("|", "\\|").replace("`", "\\`")


def _size_category(count: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if count < limit:
            return name
    return "100K<n<1M" if count < 1_000_000 else "n>1M"
