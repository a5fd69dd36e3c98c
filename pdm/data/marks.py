"""Provenance in sampled PNGs: how an image was sampled, and by which models.

The mark is JSON in a text chunk of the PNG, so it travels with the file. A copy that lost its mark
can still be recognised by the sha256 of its pixels, which `samples.json` lists.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pdm.data.pixels import Pixels
from pdm.errors import BadInput

KEYWORD = "pyramid-diffusion"


def mark(facts: Mapping[str, Any]) -> PngInfo:
    """The text chunk for `Image.save(..., pnginfo=...)`; equal facts give equal bytes."""
    info = PngInfo()
    info.add_text(KEYWORD, json.dumps(dict(facts), sort_keys=True))
    return info


def read(picture: Path) -> tuple[dict[str, Any] | None, str]:
    """The mark (None if it is missing or unreadable) and the sha256 of the pixels.

    Raises:
        BadInput: The file does not exist or is not an image.
    """
    try:
        with Image.open(picture) as opened:
            pixels = np.asarray(opened.convert("RGB"))
            text = getattr(opened, "text", {}).get(KEYWORD, "")
    except FileNotFoundError:
        raise BadInput(f"{picture} does not exist") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(f"{picture} is not an image that can be read ({error})") from error
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    return (facts if isinstance(facts, dict) else None), pixels_sha256(pixels)


def pixels_sha256(pixels: Pixels) -> str:
    """The sha256 of uint8 (H, W, 3) pixels and their shape, independent of the file format."""
    shape = "x".join(map(str, pixels.shape))
    return hashlib.sha256(shape.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()
