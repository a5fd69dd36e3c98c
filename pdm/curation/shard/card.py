"""The data card: `README.md` of a folder of shards, with the YAML header that dataset hubs read."""

import yaml

from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.card_sources import (
    box_section,
    caption_section,
    class_section,
    licence_section,
    source_section,
)
from pdm.data.annotations import captions
from pdm.data.decisions import Row
from pdm.data.shards.buckets import buckets_of, has_buckets
from pdm.data.shards.manifest import Manifest
from pdm.pages.markdown import plain_table

FIELD_TITLES = ("field of `key.json`", "meaning")
FIELDS = (  # of a record that `write` stores
    ("key", "name of the sample"),
    ("split", "train or val"),
    ("url, final_url", "the image's URL as listed, and after redirects"),
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
# As Hugging Face names them, by the number of digits from three upwards.
SIZE_CATEGORIES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M"),
    *("1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B"),
)
BOX_FIELD = (
    "boxes",
    "what stands where: class, then x, y (of the top-left corner), width and height as shares of "
    "the crop; absent if the source has none",
)

FILES = """\
An image's split follows from a hash of its content, or of its folder's name if folders are held
out as a whole; its shard from a hash of its key. `manifest.json` has the sha256 of every shard; a
tar that is not in it does not belong to the data. `croissant.json` describes the same files in
MLCommons' Croissant format. `pyramid data verify` finds any damage.
"""

LIMITS = """## Known limits

- Licences, authors and captions are those that the sources state; they were not checked.
- The data report lists what was dropped and why. The rules were tuned on photographs and drawn
  landscapes; they may work less well for other images.
- Near duplicates are found by a perceptual hash: two views of one place count as two images.
- Images may show people who did not agree to it. Nothing in the data names them.
- The images are those of the named sources: no representative sample of places, people or times.
"""

OPTING_OUT = """## Opting out and taking down

Images were not fetched if the server forbids it in robots.txt or by headers (X-Robots-Tag noai,
tdm-reservation and others). Whoever has rights in an image, or is shown in one, may have it
removed: write to the publisher of this copy, with the image's URL or key. The publisher adds the
URL or the sha256 of the source file to the list `scrape.removed` and runs the pipeline again; the
next version is without it, in shards, manifest and caches.
"""


def data_card(manifest: Manifest, rows: list[Row], boxes: BoxCounts | None = None) -> str:
    """Markdown about the content of the shards, its sources and how to read it.

    Args:
        manifest: Of the shards.
        rows: The decisions on the images that are in them.
        boxes: Counts of their boxes, if any has some.
    """
    boxes = boxes or BoxCounts()
    fields = (*FIELDS, BOX_FIELD) if boxes.num_boxes else FIELDS
    sections = (
        _header(manifest, len(rows)),
        _overview(manifest, len(rows)),
        f"## What is known about each image\n\n{plain_table(FIELD_TITLES, fields)}",
        source_section(rows),
        class_section(rows),
        caption_section(rows),
        box_section(boxes),
        licence_section(rows),
        LIMITS,
        OPTING_OUT,
        _reading(manifest),
    )
    return "\n".join(section for section in sections if section)


def _header(manifest: Manifest, count: int) -> str:
    """The YAML that dataset hubs read."""
    tasks = ["text-to-image"] if captions.FACT in manifest.facts else []
    split_files = (("train", "train-*.tar"), ("validation", "val-*.tar"))
    head = {
        "pretty_name": _title(manifest),
        "task_categories": ["unconditional-image-generation", *tasks],
        "tags": ["webdataset", "image"],
        "license": "other",
        "size_categories": [_size_category(count)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": path} for name, path in split_files],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n"


def _title(manifest: Manifest) -> str:
    if has_buckets(manifest.facts):
        return "Images of many aspect ratios"
    return f"Images of {_size(manifest)}"


def _size(manifest: Manifest) -> str:
    if has_buckets(manifest.facts):
        return "of the size of its bucket"
    return f"{manifest.facts['width_px']} x {manifest.facts['height_px']} pixels"


def _overview(manifest: Manifest, count: int) -> str:
    """What the pictures are, how many, and the files beside them."""
    parts = " and `key.json`"
    if captions.FACT in manifest.facts:
        parts = ", `key.json` and `key.txt` (the captions, one per line)"
    return f"""# {_title(manifest)}

Crops of {count:,} images, each exactly {_size(manifest)}, sRGB, upright, never
enlarged, as WebDataset tars of `key.{manifest.facts["extension"]}`{parts}.

{plain_table(("split", "images", "shards", "bytes"), _split_lines(manifest))}
{_bucket_section(manifest)}{FILES}"""


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
    return f"""Each image is cut to the nearest of these shapes. A shard has images of one size.

{plain_table(titles, lines)}
"""


def _reading(manifest: Manifest) -> str:
    """How to read the shards with the usual tools."""
    extension = manifest.facts["extension"]
    height, width = manifest.facts["height_px"], manifest.facts["width_px"]
    shape = "(height, width, 3)" if has_buckets(manifest.facts) else f"({height}, {width}, 3)"
    return f"""## Reading it

```python
import pathlib, webdataset

shards = sorted(map(str, pathlib.Path("shards").glob("train-*.tar")))
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    pixels, facts = sample["{extension}"], sample["json"]  # {shape} and a dict
```

```python
import datasets  # Hugging Face; reads the header of this file

for sample in datasets.load_dataset("shards", split="train"):
    image, facts = sample["{extension}"], sample["json"]  # a PIL image and a dict
```

```python
import mlcroissant

for sample in mlcroissant.Dataset("shards/croissant.json").records("pictures"):
    key, image = sample["pictures/key"], sample["pictures/image"]
```
"""


def _size_category(count: int) -> str:
    digits = max(len(str(count)), 3)
    return SIZE_CATEGORIES[min(digits - 3, len(SIZE_CATEGORIES) - 1)]
