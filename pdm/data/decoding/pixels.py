"""From the bytes of an image file to its pixels, right in every colour mode, or a reason why not.

Pixels are uint8 (H, W, 3), sRGB, upright. The header is read and judged first, so that a small file
of a huge picture costs nothing. Whatever a decoder raises ends as `Unreadable`: one bad file never
stops a run. A truncated or damaged file is unreadable, never a picture with a grey band.
"""

import io
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch.nn.functional import interpolate

from pdm.data.decoding import alpha, isobmff, jpeg, kinds, turbo
from pdm.data.decoding.colour import WHITE, Colour, changes_pixels, in_srgb
from pdm.data.decoding.orientation import TRANSPOSED, read_orientation, turn_upright
from pdm.data.decoding.stated import HighDynamicRange, stated_profile

Pixels = NDArray[np.uint8]

# Decoders that are built into Pillow and used by everybody; rare ones are where the faults hide.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
REDUCTIONS = (1, 2, 4, 8)  # what a JPEG decoder does almost for free

# Pillow warns at 89 and fails at 179 megapixels. The limit here is the caller's, on the header.
Image.MAX_IMAGE_PIXELS = None


class Unreadable(Exception):
    """The bytes do not make one still picture. The text says why.

    Attributes:
        kind: A word to count by: `unreadable`, `unreadable_heic` for a known foreign format, or
            `hdr` for a picture of high dynamic range.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself. Width and height are those of the upright picture."""

    width_px: int
    height_px: int
    format: str
    mode: str  # of the file, as Pillow names it: RGB, CMYK, I;16, P, LA, ...
    animated: bool


@dataclass(frozen=True, slots=True)
class View:
    """A whole decoded picture, perhaps reduced."""

    pixels: Pixels
    reduction: int  # one of `REDUCTIONS`; its sides are those of the picture over it, rounded up
    transparent_share: float  # 0 opaque, 1 wholly transparent: the mean of 1 - alpha


def read_header(content: bytes) -> Header:
    """Read size, format and mode without decoding any pixel.

    Raises:
        Unreadable: Not a picture in one of `FORMATS`, or its header is damaged.
    """
    image, _ = _open(content)
    width_px, height_px = image.size
    if read_orientation(image) in TRANSPOSED:
        width_px, height_px = height_px, width_px
    return Header(width_px, height_px, image.format or "?", image.mode, _is_animated(image))


def decode(content: bytes, background: Colour = WHITE) -> Pixels:
    """Decode to upright sRGB pixels, (H, W, 3).

    Colours are converted (relative colorimetric, black point compensated) from the space that the
    file states, by ICC profile or by numbers, unless it is sRGB already or broken; 16-bit values
    are scaled to 8; grey fills three channels; transparent pixels lie on the background. Of several
    frames the first is taken.

    Raises:
        Unreadable: Any decoder error, truncation among them; or the picture is HDR.
    """
    return decode_view(content, 1, background).pixels


def decode_view(content: bytes, reduction: int, background: Colour = WHITE) -> View:
    """Like `decode`, but a JPEG is reduced while it is decoded: in the cosine domain, antialiased.

    Args:
        reduction: One of `REDUCTIONS`. Formats that cannot be reduced come back whole.
        background: Red, green and blue, 0 to 255, behind transparent parts.
    """
    image, content = _open(content)
    try:
        orientation = read_orientation(image)
        profile = stated_profile(image, content)
        if turbo.can_decode(image, content):
            pixels, transparent_share = turbo.decode(content, image.size, reduction), 0.0
            if changes_pixels(profile, image.mode):  # if not, Pillow's two copies are saved
                stored = Image.fromarray(pixels if image.mode == "RGB" else pixels[:, :, 0])
                pixels = np.asarray(in_srgb(stored, profile))
        else:
            reduction = 1
            image.load()
            # Under the same name, so that the decoder's own buffers are free before the next copy.
            image, transparency = alpha.split(image, content)
            image = in_srgb(image, profile)
            pixels, transparent_share = _on_background(image, transparency, background)
        return View(turn_upright(pixels, orientation), reduction, transparent_share)
    except HighDynamicRange as error:
        raise Unreadable(f"it is HDR ({error}); only SDR pictures are decoded", "hdr") from error
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unreadable(_sentence(error)) from error


def _on_background(
    image: Image.Image, transparency: Image.Image | None, background: Colour
) -> tuple[Pixels, float]:
    """The pixels, and which share of them is transparent."""
    if transparency is None:
        return np.asarray(image), 0.0
    share = alpha.transparent_share(transparency)
    return np.asarray(alpha.flatten(image, transparency, background)), share


@dataclass(frozen=True, slots=True)
class Box:
    """A part of an upright picture."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


def cut(pixels: Pixels, box: Box, width_px: int, height_px: int) -> Pixels:
    """The part `box` of (H, W, 3) pixels at the size (height_px, width_px), never enlarged.

    Reduced in one step by an antialiased Lanczos filter of three lobes; copied if the sizes are
    equal. A value differs from Pillow's by at most 2 levels (above 65 dB), and from the same filter
    in floating point by less than 0.4 in the mean: above 54 dB on pictures, and 43 dB on white
    noise, whose overshoot is clipped between the two passes, by Pillow alike (all tested). Values
    are averaged as they are encoded, as everybody does who trains on them, not in linear light.
    """
    assert box.width_px >= width_px, (box, width_px)
    assert box.height_px >= height_px, (box, height_px)
    inside = pixels[
        box.top_px : box.top_px + box.height_px, box.left_px : box.left_px + box.width_px
    ]
    if (box.width_px, box.height_px) == (width_px, height_px):
        return inside
    return _resampled(inside, width_px, height_px, "lanczos")


def reduced(pixels: Pixels, width_px: int, height_px: int) -> Pixels:
    """The whole of (H, W, 3) pixels at a smaller size, for looking at, not for keeping.

    Antialiased by a triangle filter: no pixel is skipped, fine detail is a little softer than by
    `cut`, in a fifth of the time.
    """
    return _resampled(pixels, width_px, height_px, "bilinear")


def _resampled(pixels: Pixels, width_px: int, height_px: int, filter_name: str) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of read-only memory; it is only read
        tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    planes = interpolate(tensor, (height_px, width_px), mode=filter_name, antialias=True)[0]
    return np.asarray(cv2.merge([plane.numpy() for plane in planes]), dtype=np.uint8)


def _open(content: bytes) -> tuple[Image.Image, bytes]:
    """The picture, its header read, and the bytes to decode: those without harmful metadata."""
    if not content:
        raise Unreadable("the file is empty")
    if isobmff.is_avif(content):
        content = isobmff.without_exif(content)
    try:
        return _opened(content), content
    except Exception as error:  # decoders raise anything on hostile bytes
        if content.startswith(jpeg.START):
            return _open_without_metadata(content)
        if isinstance(error, UnidentifiedImageError):
            raise _foreign(content) from None
        raise Unreadable(_sentence(error)) from error


def _open_without_metadata(content: bytes) -> tuple[Image.Image, bytes]:
    """Open a JPEG that Pillow has refused: the fault may lie beside the picture, not in it."""
    bare = jpeg.without_metadata(content)
    try:
        image = _opened(bare)
    except Exception as error:
        raise Unreadable("its header is damaged, or cut short") from error
    image.info["exif"] = jpeg.exif(content)
    return image, bare


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Corrupt EXIF data", once for each picture
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.format == "AVIF":
        image.info.pop("xmp", None)  # in which Pillow looks for an orientation that does not count
    return image


def _foreign(content: bytes) -> Unreadable:
    kind = kinds.kind_of(content)
    listed = ", ".join(FORMATS)
    if kind:
        message = f"the file is {kind.name}; only {listed} are read"
        return Unreadable(message, kind.reason)
    start = content[:12].decode("latin-1").encode("unicode_escape").decode()
    return Unreadable(f"not a picture in {listed}: the file begins with '{start}'")


def _sentence(error: Exception) -> str:
    return f"{error}" if str(error) else type(error).__name__


def _is_animated(image: Image.Image) -> bool:
    # A JPEG of several pictures (MPO: phones, stereo cameras) is a still with extras, no animation.
    return image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1
