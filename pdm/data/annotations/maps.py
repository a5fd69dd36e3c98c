"""Segmentation maps: for each pixel of a picture the index of its class, or `UNKNOWN`.

A map is a PNG of one channel (grey or palette) with 8 bits or less; an EXIF orientation counts. The
classes are named once for all maps, index 0 first. In shards a sample's map is `key.map.png`, of
the size of its picture.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdm.counts import counted
from pdm.data.decoding.orientation import decode_upright
from pdm.data.pillow import DECODING_ERRORS, Image
from pdm.errors import BadInput

ClassMap = NDArray[np.uint8]  # (H, W)
UNKNOWN = 255
EXTENSION = "map.png"
FACT = "map_classes"  # key in manifests and model folders; absent if there are no maps
NAMES_FILE = "classes.txt"  # in a folder of maps: a name a line
MODES = ("L", "P", "1")
PNG_START, BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # first bytes; where the bits of a channel stand
GREY_STEPS = {2: 85, 4: 17}  # Pillow spreads grey values of so few bits over 0 to 255


def names_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes of the maps, in a manifest or in a model folder's facts."""
    return tuple(facts.get(FACT, ()))


def read_names(folder: Path) -> tuple[str, ...]:
    """Read the names of the classes of a folder of maps.

    Raises:
        BadInput: The folder or its file is missing, or has no names, more than 255, or one twice.
    """
    path = folder / NAMES_FILE
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); write the names of the maps' classes there, one "
            "per line, starting with index 0"
        ) from error
    names = tuple(line for line in lines if line)
    if not names or len(names) > UNKNOWN or len(set(names)) < len(names):
        raise BadInput(
            f"{path} has {counted(len(names), 'name')}; 1 to {UNKNOWN} different ones are needed"
        )
    return names


def decode_map(content: bytes, names: Sequence[str]) -> ClassMap:
    """Decode a map, (H, W), upright.

    Raises:
        ValueError: It is not a PNG of one channel with at most 8 bits, or has an index without a
            class.
    """
    if not content.startswith(PNG_START):  # a JPEG, for one, changes indices
        raise ValueError("it is not a PNG, which a map must be")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as file:
            mode, indices = file.mode, np.array(decode_upright(file), dtype=np.uint8)
    except (*DECODING_ERRORS, TypeError) as error:
        raise ValueError(f"it is not an image that can be read ({error})") from error
    if mode not in MODES or indices.ndim != 2:
        raise ValueError(f"it has the mode {mode}; a map has one channel of indices with 8 bits")
    if mode == "L":
        indices //= GREY_STEPS.get(content[BIT_DEPTH], 1)
    wrong = np.unique(indices[(indices >= len(names)) & (indices != UNKNOWN)])
    if len(wrong):
        raise ValueError(
            f"it has the index {wrong[0]}, but there are {len(names)} classes, 0 to "
            f"{len(names) - 1}, and {UNKNOWN} for unknown"
        )
    return indices


def resize_map(indices: ClassMap, height: int, width: int) -> ClassMap:
    """Resize a map to the nearest pixels, so that no index is mixed with another."""
    if indices.shape == (height, width):
        return indices
    resized = Image.fromarray(indices).resize((width, height), Image.Resampling.NEAREST)
    return np.array(resized, dtype=np.uint8)


def encode_map(indices: ClassMap) -> bytes:
    """Encode a map as a PNG; equal maps give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(indices).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
