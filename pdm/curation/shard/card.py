"""The data card: `README.md` of a folder of shards, with the YAML header that dataset hubs read."""

import yaml

from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.card_tables import MAX_LISTED, most_frequent, table
from pdm.curation.shard.report.captions import caption_facts
from pdm.data import captions
from pdm.data.decisions import Row
from pdm.data.shards.buckets import buckets_of, has_buckets
from pdm.data.shards.manifest import Manifest

STATED = ("licence", "author", "caption")  # a source may leave these out

FIELDS = (  # of a record that `write` stores
    ("key", "name of the sample"),
    ("split", "train or val"),
    ("url, final_url", "the picture's URL as listed, and after redirects"),
    ("retrieved_at", "when it was fetched, UTC"),
    ("source", "the list or folder that it is from"),
    ("caption, licence, author", "as the source states them; null if it does not"),
    ("captions", "all of them, if there are several; caption is then the first; else absent"),
    ("class_name", "as the source states it; absent if it does not"),
    ("sha256, num_bytes", "of the source file"),
    ("original_width_px, original_height_px", "of the source, upright"),
    ("crop", "the part of the source that was cut out, in pixels of the source"),
    ("width_px, height_px, image_sha256", "of the crop in the tar"),
)
BOX_FIELD = (
    "boxes",
    "what stands where: class, then x, y (of the top-left corner), width and height as shares of "
    "the crop; absent if the source has none",
)

SPLITS = (
    "An image's split and shard follow from hashes of its content and its key. `manifest.json` has "
    "the"
)


def data_card(manifest: Manifest, rows: list[Row], boxes: BoxCounts | None = None) -> str:
    """Markdown about the content of the shards, its sources and how to read it.

    Args:
        manifest: Of the shards.
        rows: The decisions on the images that are in them.
        boxes: Counts of their boxes, if any has some.
    """
    boxes = boxes or BoxCounts()
    width, height = manifest.facts["width_px"], manifest.facts["height_px"]
    size = f"{width} x {height} pixels"
    title = f"Pictures of {size}"
    if has_buckets(manifest.facts):
        size, title = "of the size of its bucket", "Pictures of many aspect ratios"
    captioned = captions.FACT in manifest.facts
    tasks = ["text-to-image"] if captioned else []
    fields = (*FIELDS, BOX_FIELD) if boxes.num_boxes else FIELDS
    parts = (
        ", `key.json` and `key.txt` (the captions, one a line)" if captioned else " and `key.json`"
    )
    extension = manifest.facts["extension"]
    shape = "(height, width, 3)" if has_buckets(manifest.facts) else f"({height}, {width}, 3)"
    head = {
        "pretty_name": title,
        "task_categories": ["unconditional-image-generation", *tasks],
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

# {title}

Crops of {len(rows):,} pictures, each exactly {size}, sRGB, upright, never
enlarged, as WebDataset tars of `key.{extension}`{parts}.

{table(("split", "pictures", "shards", "bytes"), _split_lines(manifest))}
{_bucket_section(manifest)}{SPLITS}
sha256 of every shard; a tar that is not in it does not belong to the data. `croissant.json`
describes the same files in MLCommons' Croissant format. `pyramid data verify` finds any damage.

## What is known about each picture

{table(("field of `key.json`", "meaning"), fields)}
## Sources

{table(("source", "pictures"), most_frequent(row["source"] for row in rows))}
{_fetch_period(rows)}

{table(("host", "pictures"), most_frequent(map(_host, rows)))}
{_class_section(rows)}{_caption_section(rows)}{_box_section(boxes)}## Licences and authors

Each picture keeps the licence of its source, which is in `key.json`.

{table(("", "pictures that state it", "that do not"), _lines_of_stated_facts(rows))}
{table(("licence", "pictures"), most_frequent(row["licence"] for row in rows))}
{table(("author", "pictures"), most_frequent(row["author"] for row in rows))}
## Known limits

- Licences, authors and captions are those that the sources state; they were not checked.
- The data report lists what was dropped and why. The rules were tuned on photographs and drawn
  landscapes; they may work less well for other pictures.
- Near duplicates are found by a perceptual hash: two views of one place count as two pictures.
- Pictures may show people who did not agree to it. Nothing in the data names them.
- The pictures are those of the named sources: no representative sample of places, people or times.

## Opting out and taking down

Pictures were not fetched if the server forbids it in robots.txt or by headers (X-Robots-Tag noai,
tdm-reservation and others). Whoever has rights in a picture, or is shown in one, may have it
removed: write to the publisher of this copy, with the picture's URL or key. The publisher adds the
URL or the sha256 of the source file to the list `scrape.removed` and runs the pipeline again; the
next version is without it, in shards, manifest and caches.

## Reading it

```python
import pathlib, webdataset

shards = sorted(map(str, pathlib.Path("shards").glob("train-*.tar")))
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    pixels, facts = sample["{extension}"], sample["json"]  # {shape} and a dict
```

```python
import datasets  # Hugging Face; reads the header of this file

for sample in datasets.load_dataset("shards", split="train"):
    picture, facts = sample["{extension}"], sample["json"]  # a PIL image and a dict
```

```python
import mlcroissant

for sample in mlcroissant.Dataset("shards/croissant.json").records("pictures"):
    key, picture = sample["pictures/key"], sample["pictures/image"]
```
"""


def _bucket_section(manifest: Manifest) -> str:
    """The counts by size; empty if all pictures have one."""
    if not has_buckets(manifest.facts):
        return ""
    lines = [
        (
            f"{bucket.size[0]} x {bucket.size[1]}",
            f"{bucket.size[0] / bucket.size[1]:.3g}",
            *(f"{bucket.num_samples.get(split, 0):,}" for split in manifest.splits),
        )
        for bucket in buckets_of(manifest)
    ]
    titles = ("width x height", "ratio", *manifest.splits)
    return f"""Each picture is cut to the nearest of these shapes. A shard has pictures of one size.

{table(titles, lines)}
"""


def _class_section(rows: list[Row]) -> str:
    """The section on classes; empty if no picture has one."""
    named = [row["class_name"] or "none" for row in rows if "class_name" in row]
    if set(named) <= {"none"}:
        return ""
    return f"## Classes\n\n{table(('class', 'pictures'), most_frequent(named))}\n"


def _caption_section(rows: list[Row]) -> str:
    """The section on captions; empty if no picture has one."""
    facts = caption_facts(rows)
    if facts is None:
        return ""
    lengths = [(name, f"{count:,}") for name, count in facts.lengths]
    return f"""## Captions

{facts.num_with:,} of {len(rows):,} pictures ({facts.share_with:.1%}) have a caption,
{facts.num_several:,} of them several. The median caption has {facts.median_words:,} words, the
longest {facts.longest_words:,}.

{table(("words", "captions"), lengths)}
"""


def _box_section(boxes: BoxCounts) -> str:
    """The section on boxes; empty if no picture has one."""
    if not boxes.num_boxes:
        return ""
    lines = [(name, f"{count:,}") for name, count in boxes.by_class.most_common(MAX_LISTED)]
    return f"""## Boxes

{boxes.num_pictures:,} pictures have boxes, {boxes.num_boxes:,} in all, at most {boxes.most:,} on
one. {boxes.num_lost:,} more were left out: less than a quarter of each is in the crop.

{table(("class", "boxes"), lines)}
"""


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


def _lines_of_stated_facts(rows: list[Row]) -> list[tuple[str, str, str]]:
    counts = {name: sum(bool(row[name]) for row in rows) for name in STATED}
    return [(name, f"{count:,}", f"{len(rows) - count:,}") for name, count in counts.items()]


def _fetch_period(rows: list[Row]) -> str:
    times = sorted(row["retrieved_at"] for row in rows if row["retrieved_at"])
    if not times:
        return "No picture was fetched over a network."
    period = f"between {times[0]} and {times[-1]}" if times[0] != times[-1] else f"at {times[0]}"
    return f"{len(times):,} of {len(rows):,} pictures were fetched over a network, {period}:"


def _host(row: Row) -> str:
    """Host of a picture's final URL, or "(files)"."""
    _, slashes, rest = str(row["final_url"] or row["url"]).partition("://")
    return rest.partition("/")[0].rpartition("@")[2] if slashes else "(files)"


def _size_category(count: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if count < limit:
            return name
    return "100K<n<1M" if count < 1_000_000 else "n>1M"
