"""From any colour mode and profile to 8-bit sRGB without alpha."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


def in_srgb(
    image: Image.Image, profile: bytes | None, background: Colour
) -> tuple[Image.Image, float]:
    """A loaded image in mode RGB, sRGB, and which share of it was transparent.

    Args:
        profile: The file's ICC profile. A broken one, or one for another colour space than the
            pixels', is ignored: the pixels are all there is.
        background: Shows through transparent parts.
    """
    image = _eight_bit(image)
    if image.mode not in ("RGBA", "LA"):
        return _to_srgb(image, profile), 0.0
    alpha = image.getchannel("A")
    colour = _to_srgb(image.convert(image.mode[:-1]), profile)
    transparent = 1 - float(np.asarray(alpha).mean()) / 255
    return Image.composite(colour, Image.new("RGB", image.size, background), alpha), transparent


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bit; Pillow's own conversion clips it to white instead."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image


def changes_pixels(profile: bytes | None, mode: str) -> bool:
    """Whether a profile is to be applied to pixels of a mode: sound, fitting, and not sRGB."""
    return _fitting_transform(profile, mode) is not None


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    transform = _fitting_transform(profile, image.mode)
    if transform is not None:
        try:
            # The transform is typed for what it gives back, which here is always an image.
            converted: Image.Image = transform.apply(image)
            return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a profile that breaks only when it is used: taken for sRGB, as other broken ones
    return image.convert("RGB")


def _fitting_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        return _transform(profile, mode) if profile else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=32)  # a camera writes the same profile into every picture
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """To sRGB, relative colorimetric, black point compensated; none if it is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in ImageCms.getProfileDescription(source).lower():
        return None
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
