"""Splits images into colour and alpha, in whatever form the file stores transparency.

That is an alpha channel, a palette with alpha, or one colour that means transparent (the PNG chunk
tRNS for grey and RGB, at any bit depth).
"""

import cv2
import numpy as np
from PIL import Image

from pdm.data.decoding import png

Alpha = Image.Image  # mode L: 0 transparent, 255 opaque


def split(image: Image.Image, content: bytes) -> tuple[Image.Image, Alpha | None]:
    """Colour in mode L, RGB or CMYK at 8 bits, and the alpha channel or None.

    Args:
        image: A loaded image.
        content: The file that it was loaded from.

    Raises:
        ValueError: A PNG's transparent colour cannot be read.
    """
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("PA", "RGBa", "La"):  # a palette with alpha, premultiplied
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    alpha: Alpha | None
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A")
        if _is_grey(image, content):
            return image.getchannel(0), alpha
        return image.convert(image.mode[:-1]), alpha
    alpha = _keyed(image, content) if "transparency" in image.info else None
    return _eight_bit(image), alpha


def flatten(image: Image.Image, alpha: Alpha, background: tuple[int, int, int]) -> Image.Image:
    """Blend an RGB image with a background colour."""
    return Image.composite(image, Image.new("RGB", image.size, background), alpha)


def transparent_share(alpha: Alpha) -> float:
    """The mean of 1 - alpha: 0 opaque, 1 fully transparent."""
    return 1 - float(np.asarray(alpha).mean()) / 255


def _is_grey(image: Image.Image, content: bytes) -> bool:
    """Whether grey is stored. Pillow opens 16-bit grey with alpha as RGBA."""
    return image.format == "PNG" and png.read_facts(content).colour_type == png.GREY_WITH_ALPHA


def _keyed(image: Image.Image, content: bytes) -> Alpha:
    """Alpha of an image in which one colour (tRNS) means transparent."""
    depth, key = png.read_facts(content).bit_depth, np.asarray(image.info["transparency"])
    values = np.asarray(image)
    if image.mode == "RGB" and depth == 16:
        return _sixteen_bit_alpha(content)
    if image.mode == "1":  # Pillow gives the key as 0 or 255
        values = values * np.uint8(255)
    else:  # Pillow scales samples of 2 and 4 bits to 0..255, but not the key
        highest = 2**depth - 1
        key = (key & highest) * (255 // min(highest, 255))
    is_transparent = values == key if values.ndim == 2 else (values == key).all(axis=-1)
    return Image.fromarray(np.where(is_transparent, 0, 255).astype(np.uint8))


def _sixteen_bit_alpha(content: bytes) -> Alpha:
    """By OpenCV: Pillow keeps only the high byte of each sample, so colours would be confused."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[2:] != (4,):
        raise ValueError("its transparent colour cannot be read")
    return Image.fromarray((pixels[:, :, 3] // 257).astype(np.uint8))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bit; Pillow's own conversion clips it to white instead."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8))
    return image.convert("L") if image.mode == "1" else image
