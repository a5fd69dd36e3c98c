"""What a drawn picture carries within itself: how it was drawn, and by which models.

The mark is JSON in a text chunk of the PNG. It travels with the file; a copy that lost it can still
be known by its pixels, whose sha256 stands in `samples.json`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pdm.data.shards.images import Pixels
from pdm.errors import BadInput

KEYWORD = "pyramid-diffusion"


def mark(facts: Mapping[str, Any]) -> PngInfo:
    """For `Image.save(..., pnginfo=...)`; equal facts give equal bytes."""
    info = PngInfo()
    info.add_text(KEYWORD, json.dumps(dict(facts), sort_keys=True))
    return info


def read(picture: Path) -> tuple[dict[str, Any] | None, str]:
    """The mark, None if there is none that can be read; and the sha256 of the pixels.

    Raises:
        BadInput: The file is no picture.
    """
    try:
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
            text = getattr(opened, "text", {}).get(KEYWORD, "")
    except FileNotFoundError:
        raise BadInput(f"{picture} does not exist") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(f"{picture} is no picture that can be read ({error})") from error
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return (found if isinstance(found, dict) else None), pixels_sha256(pixels)


def pixels_sha256(pixels: Pixels) -> str:
    """Of uint8 (H, W, 3), whatever file they lie in; its shape counts."""
    shape = "x".join(map(str, pixels.shape))
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
