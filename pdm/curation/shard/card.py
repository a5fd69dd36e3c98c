"""The data card: `README.md` of a folder of shards, with the YAML head that dataset hubs read."""

import html
from collections import Counter
from collections.abc import Sequence

import yaml

from pdm.data.decisions import Row
from pdm.data.manifest import Manifest


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
enlarged, as WebDataset tars of `key.{extension}` and `key.json` (source URL, licence, caption,
sha256 of the source file, its size, the crop's place in it).

{_table(("split", "pictures", "shards", "bytes"), _split_lines(manifest))}
An image's split and shard follow from hashes of its content and its key. `manifest.json` holds the
sha256 of every shard; nothing outside it belongs to the data.

## Sources

{_table(("source", "pictures"), _counted(rows, "source"))}
## Licences

Each picture keeps the licence of its source; `key.json` names it.

{_table(("licence", "pictures"), _counted(rows, "licence"))}
## Reading it

```python
import pathlib, webdataset

shards = sorted(map(str, pathlib.Path("shards").glob("train-*.tar")))
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    pixels, facts = sample["{extension}"], sample["json"]  # ({height}, {width}, 3) and a dict
```
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


def _counted(rows: list[Row], column: str) -> list[tuple[str, str]]:
    counts = Counter(str(row[column] or "not stated") for row in rows)
    return [(name, f"{count:,}") for name, count in sorted(counts.items())]


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
