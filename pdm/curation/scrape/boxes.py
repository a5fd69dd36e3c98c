"""Boxes of pictures on their way from a source to the raw shards: checked and shortened JSON.

They may be in pixels, and the sizes of the pictures are not known yet: the stage `shard` checks
that they fit.
"""

import json
from pathlib import Path
from typing import Any

from pdm.data.annotations.boxes import ANY_SIZE, PICTURE, SHARES, parse_boxes

ENDING = ".boxes.json"  # of a file beside a picture
MAX_BYTES = 2**20


def normalise_boxes(text: str) -> str:
    """Check the boxes of a picture, and return them as JSON with only the values that are read.

    Raises:
        ValueError: It is not a list of boxes; the text says why.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    parse_boxes(value, ANY_SIZE)
    return json.dumps([_without_unread(one) for one in value], ensure_ascii=False)


def _without_unread(box: dict[str, Any]) -> dict[str, Any]:
    if "bbox" not in box:
        names: tuple[str, ...] = ("class", *SHARES)
    else:
        names = ("class", "bbox", PICTURE) if PICTURE in box else ("class", "bbox")
    return {name: box[name] for name in names}


def read_boxes(path: Path) -> str:
    """Read and check a file of boxes.

    Raises:
        ValueError: It cannot be read, or is not a list of boxes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return normalise_boxes(content.decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
