"""From the bytes of an image file to its pixels, right in every colour mode, or a reason why not.

Pixels are uint8 (H, W, 3), sRGB, upright. The header is read and judged first, so that a small file
of a huge picture costs nothing. Whatever a decoder raises ends as `Unreadable`: one bad file never
stops a run. A truncated file is unreadable, never a picture with a grey band.
"""

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

Pixels = NDArray[np.uint8]

# Decoders that are built into Pillow and used by everybody; rare ones are where the faults hide.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")

# Pillow warns at 89 and fails at 179 megapixels. The limit here is the caller's, on the header.
Image.MAX_IMAGE_PIXELS = None

# EXIF orientation -> what sets the picture upright
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


class Unreadable(Exception):
    """The bytes do not make one still picture. The text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself. Width and height are those of the upright picture."""

    width_px: int
    height_px: int
    format: str
    mode: str  # of the file, as Pillow names it: RGB, CMYK, I;16, P, LA, ...
    animated: bool


def read_header(content: bytes) -> Header:
    """Read size, format and mode without decoding any pixel.

    Raises:
        Unreadable: Not a picture in one of `FORMATS`, or its header is damaged.
    """
    image = _open(content)
    width_px, height_px = image.size
    if _orientation(image) in TURNED:
        width_px, height_px = height_px, width_px
    return Header(width_px, height_px, image.format or "?", image.mode, _is_animated(image))


def decode(content: bytes) -> Pixels:
    """Decode to upright sRGB pixels, (H, W, 3).

    A colour profile is applied (relative colorimetric, black point compensated) unless it is sRGB
    already or broken; 16-bit values are scaled to 8; grey fills three channels; transparent pixels
    lie on white. Of several frames the first is taken.

    Raises:
        Unreadable: Any decoder error, truncation among them.
    """
    image = _open(content)
    try:
        image.load()
        orientation = _orientation(image)
        profile = image.info.get("icc_profile")
        image = _composed(_eight_bit(image), profile)
        if orientation in UPRIGHT:
            image = image.transpose(UPRIGHT[orientation])
        return np.asarray(image)
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unreadable(_sentence(error)) from error


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an upright picture."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


def cut(pixels: Pixels, box: Box, width_px: int, height_px: int) -> Pixels:
    """The part `box` of (H, W, 3) pixels at the size (height_px, width_px), never enlarged.

    Reduced in one step by an antialiased Lanczos filter; copied if the sizes are equal.
    """
    assert box.width_px >= width_px, (box, width_px)
    assert box.height_px >= height_px, (box, height_px)
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    if (box.width_px, box.height_px) == (width_px, height_px):
        return pixels[box.top_px : bottom, box.left_px : right]
    corners = (box.left_px, box.top_px, right, bottom)
    size = (width_px, height_px)
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, box=corners)
    return np.asarray(resized)


def _open(content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Corrupt EXIF data", once for each picture
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        start = content[:12].decode("latin-1").encode("unicode_escape").decode()
        message = f"not a picture in {', '.join(FORMATS)}: the file begins with '{start}'"
        raise Unreadable(message if content else "the file is empty") from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unreadable(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    return f"{error}" if str(error) else type(error).__name__


def _is_animated(image: Image.Image) -> bool:
    # A JPEG of several pictures (MPO: phones, stereo cameras) is a still with extras, no animation.
    return image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1


def _orientation(image: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (ValueError, TypeError, SyntaxError, OSError, KeyError, struct.error):
        return 1  # damaged EXIF is common, and no reason to lose the picture


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


def _composed(image: Image.Image, profile: bytes | None) -> Image.Image:
    """To sRGB, without alpha: transparent parts show white, as on a page."""
    if image.mode not in ("RGBA", "LA"):
        return _to_srgb(image, profile)
    alpha = image.getchannel("A")
    colour = _to_srgb(image.convert(image.mode[:-1]), profile)
    return Image.composite(colour, Image.new("RGB", image.size, "white"), alpha)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                return _transformed(image, source)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile, or one of another colour space: the pixels are all there is
    return image.convert("RGB")


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    transformed = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert transformed is not None  # only an in-place transform returns nothing
    return transformed
