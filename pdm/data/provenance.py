"""Provenance in sampled pictures: how an image was sampled, and by which models.

It is JSON in a text chunk of a PNG, or in the tag ImageDescription of a TIFF, so it travels with
the file. A copy that lost it can still be recognised by the sha256 of its pixels, which
`samples.json` lists.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import TiffImageFile

from pdm.data.pillow import DECODING_ERRORS, Image
from pdm.data.pixels import Pixels
from pdm.errors import BadInput, why

KEYWORD = "pyramid-diffusion"
IMAGE_DESCRIPTION = 270  # tag of TIFF


def png_text(facts: Mapping[str, Any]) -> PngInfo:
    """The text chunk for `Image.save(..., pnginfo=...)`; equal facts give equal bytes."""
    info = PngInfo()
    info.add_text(KEYWORD, as_text(facts))
    return info


def as_text(facts: Mapping[str, Any]) -> str:
    """The facts as ASCII."""
    return json.dumps(dict(facts), sort_keys=True)


def read(picture: Path) -> tuple[dict[str, Any] | None, str]:
    """The facts (None if they are missing or unreadable) and the sha256 of the pixels.

    Raises:
        BadInput: The file does not exist or is not an image.
    """
    with _open(picture) as opened:
        pixels = np.asarray(opened.convert("RGB"))
        return _facts_in(_text_in(opened)), pixels_sha256(pixels)


def read_facts(picture: Path) -> dict[str, Any] | None:
    """The facts alone, without decoding the pixels; None if they are not before them, or
    unreadable.

    Raises:
        BadInput: As for `read`.
    """
    with _open(picture) as opened:
        is_tiff = isinstance(opened, TiffImageFile)
        return _facts_in(_text_in(opened) if is_tiff else str(opened.info.get(KEYWORD, "")))


@contextmanager
def _open(picture: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(picture) as opened:
            yield opened
    except FileNotFoundError:
        raise BadInput(f"{picture} does not exist; name an image file") from None
    except DECODING_ERRORS as error:
        raise BadInput(f"{picture} is not an image that can be read ({why(error)})") from error


def _facts_in(text: str) -> dict[str, Any] | None:
    try:
        facts = json.loads(text)
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def pixels_sha256(pixels: Pixels) -> str:
    """The sha256 of uint8 (H, W, 3) pixels and their shape, independent of the file format."""
    digest = hashlib.sha256(shape_text(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def shape_text(shape: tuple[int, ...]) -> str:
    """What stands before the pixels in their sha256."""
    return "x".join(map(str, shape))


def _text_in(image: Image.Image) -> str:
    if isinstance(image, TiffImageFile):
        return str(image.tag_v2.get(IMAGE_DESCRIPTION, ""))
    return str(getattr(image, "text", {}).get(KEYWORD, ""))
