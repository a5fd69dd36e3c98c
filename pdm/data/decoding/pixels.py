"""Decodes image files to pixels: uint8 (H, W, 3), sRGB, upright.

Read the header first (`read_header`): a small file may hold a huge image. Every fault of a file is
raised as `Unreadable`, with a reason, so that one bad file never stops a run. A truncated or
damaged file is unreadable; it never gives an image with a grey band.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import UnidentifiedImageError

from pdm.data.decoding import alpha, isobmff, jpeg, kinds, turbo, zeros
from pdm.data.decoding.colour import WHITE, Colour, changes_pixels, in_srgb
from pdm.data.decoding.orientation import TRANSPOSED, read_orientation, turn_upright
from pdm.data.decoding.stated import HighDynamicRange, stated_profile
from pdm.data.pillow import Image
from pdm.data.pixels import Pixels

# Formats whose decoders are widely used; rare decoders have more security faults.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
REDUCTIONS = (1, 2, 4, 8)  # by which a JPEG decoder can scale down at almost no cost

# Callers check the header's size themselves. `pdm.data.pillow` is imported above, so that it cannot
# set its limit later.
Image.MAX_IMAGE_PIXELS = None


class Unreadable(Exception):
    """The file cannot be decoded to one still SDR image. The text says why.

    Attributes:
        kind: The reason in one word, for counting: `unreadable`, `hdr`, or the name of a known
            format that is not read, such as `unreadable_heic`.
    """

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """What the file's header says. Width and height are those of the upright image."""

    width_px: int
    height_px: int
    format: str
    mode: str  # colour mode of the file, as Pillow names it: RGB, CMYK, I;16, P, LA, ...
    animated: bool


@dataclass(frozen=True, slots=True)
class View:
    """A decoded image, perhaps scaled down."""

    pixels: Pixels
    reduction: int  # one of `REDUCTIONS`, by which both sides were divided, rounded up
    transparent_share: float  # mean of 1 - alpha: 0 opaque, 1 fully transparent


def read_header(content: bytes) -> Header:
    """Read size, format and mode without decoding pixels.

    Raises:
        Unreadable: The file is not an image in one of `FORMATS`, or its header is damaged.
    """
    image, _ = _open(content)
    width_px, height_px = image.size
    if read_orientation(image) in TRANSPOSED:
        width_px, height_px = height_px, width_px
    return Header(width_px, height_px, image.format or "?", image.mode, _is_animated(image))


def decode(content: bytes, background: Colour = WHITE) -> Pixels:
    """Decode to upright sRGB pixels, (H, W, 3).

    Colours are converted from the colour space that the file states (relative colorimetric, with
    black point compensation); a broken profile is ignored. 16-bit values are scaled to 8 bits, grey
    is repeated in three channels, and transparent pixels are blended with the background. Of
    several frames the first is decoded.

    Raises:
        Unreadable: The decoder failed, the file is truncated, or the image is HDR.
    """
    return decode_view(content, 1, background).pixels


def decode_view(content: bytes, reduction: int, background: Colour = WHITE) -> View:
    """Like `decode`, but scales a JPEG down while decoding it (antialiased, in the DCT domain).

    Args:
        reduction: One of `REDUCTIONS`. Other formats than JPEG are decoded at full size.
        background: Red, green and blue, 0 to 255, behind transparent parts.

    Raises:
        Unreadable: As `decode`.
    """
    image, content = _open(content)
    try:
        orientation = read_orientation(image)
        profile = stated_profile(image, content)
        if turbo.can_decode(image, content):
            pixels, transparent_share = turbo.decode(content, image.size, reduction), 0.0
            if changes_pixels(profile, image.mode):  # otherwise skip Pillow and its two copies
                stored = Image.fromarray(pixels if image.mode == "RGB" else pixels[:, :, 0])
                pixels = np.asarray(in_srgb(stored, profile))
        else:
            reduction = 1
            if image.mode == "CMYK":
                turbo.refuse_damaged_cmyk(content, image.size)
            zeros.refuse_unfinished(image, content)
            image.load()
            # Reusing the name frees the decoder's buffers before the next copy is made.
            image, transparency = alpha.split(image, content)
            image = in_srgb(image, profile)
            pixels, transparent_share = _on_background(image, transparency, background)
        return View(turn_upright(pixels, orientation), reduction, transparent_share)
    except HighDynamicRange as error:
        raise Unreadable(f"it is HDR ({error}); only SDR images are decoded", "hdr") from error
    except Exception as error:  # decoders raise anything on hostile bytes
        raise Unreadable(_text_of(error)) from error


def _on_background(
    image: Image.Image, transparency: Image.Image | None, background: Colour
) -> tuple[Pixels, float]:
    """The blended pixels, and the share of them that is transparent."""
    if transparency is None:
        return np.asarray(image), 0.0
    share = alpha.transparent_share(transparency)
    return np.asarray(alpha.flatten(image, transparency, background)), share


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an upright image."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


def _open(content: bytes) -> tuple[Image.Image, bytes]:
    """Open an image. Returns it with the bytes to decode, which may lack broken metadata."""
    if not content:
        raise Unreadable("the file is empty")
    if isobmff.is_avif(content):
        content = isobmff.without_exif(content)
    try:
        return _open_by_pillow(content), content
    except Exception as error:  # decoders raise anything on hostile bytes
        if content.startswith(jpeg.START):
            return _open_without_metadata(content)
        if isinstance(error, UnidentifiedImageError):
            raise _foreign_format(content) from None
        raise Unreadable(_text_of(error)) from error


def _open_without_metadata(content: bytes) -> tuple[Image.Image, bytes]:
    """Open a JPEG that Pillow refused: perhaps only its metadata is broken."""
    bare = jpeg.without_metadata(content)
    try:
        image = _open_by_pillow(bare)
    except Exception as error:
        raise Unreadable("its header is damaged, or cut short") from error
    image.info["exif"] = jpeg.exif(content)
    return image, bare


def _open_by_pillow(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Corrupt EXIF data", once for each picture
        return Image.open(io.BytesIO(content), formats=FORMATS)


def _foreign_format(content: bytes) -> Unreadable:
    kind = kinds.kind_of(content)
    listed = ", ".join(FORMATS)
    if kind:
        message = f"the file is {kind.name}; only {listed} are read"
        return Unreadable(message, kind.reason)
    start = content[:12].decode("latin-1").encode("unicode_escape").decode()
    return Unreadable(f"not an image in {listed}: the file begins with '{start}'")


def _text_of(error: Exception) -> str:
    return f"{error}" if str(error) else type(error).__name__


def _is_animated(image: Image.Image) -> bool:
    # A JPEG of several images (MPO, from phones and stereo cameras) is not an animation.
    return image.format in ("PNG", "WEBP", "AVIF") and getattr(image, "n_frames", 1) > 1
