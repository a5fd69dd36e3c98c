"""Reads images, masks and maps of users; what cannot be used is refused in one line."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from pdm.data.decoding.orientation import decode_upright
from pdm.data.decoding.pixels import Unreadable, decode
from pdm.data.pillow import DECODING_ERRORS, Image
from pdm.data.pixels import Pixels
from pdm.data.provenance import png_text
from pdm.errors import BadInput, why
from pdm.files import atomic_file, check_output_file
from pdm.tasks.partial_pictures.masks import Mask

WHITE_FROM = 128  # of 255: masks are cut in the middle


def read_image(path: Path) -> Pixels:
    """Read an image, upright and in sRGB, uint8 (H, W, 3).

    Raises:
        BadInput: The file does not exist, or is not an image that can be read.
    """
    try:
        return decode(read_file(path)).copy()
    except Unreadable as error:
        raise BadInput(f"{path} is not an image that can be used: {error}") from error


def read_file(path: Path) -> bytes:
    """Read the bytes of an image.

    Raises:
        BadInput: The file does not exist, is a folder, or may not be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"the image {path} does not exist; name an image file") from None
    except OSError as error:
        raise BadInput(
            f"the image {path} cannot be read ({why(error)}); name an image file"
        ) from error


def read_mask(path: Path, picture: Pixels, name: Path) -> Mask:
    """Read a mask, bool (H, W): true where it is white.

    Args:
        path: A grey or black and white image, turned upright; grey is cut in the middle.
        picture: The image that it belongs to, whose size it must have.
        name: File of the image, for messages.

    Raises:
        BadInput: The file cannot be read, has another size, has colours or transparent parts, or is
            nowhere white.
    """
    grey = _grey_of(path, open_image(path))
    height, width = grey.shape
    check_size(path, (width, height), picture, name)
    mask = grey >= WHITE_FROM
    if not mask.any():
        raise BadInput(
            f"{path} has no white part, so there is nothing to draw; paint the part to draw white "
            f"({WHITE_FROM} or more of 255)"
        )
    return mask


def open_image(path: Path) -> Image.Image:
    """Open and decode an image of any mode, upright.

    Raises:
        BadInput: The file does not exist, or is not an image.
    """
    try:
        with Image.open(io.BytesIO(read_file(path))) as file:
            return decode_upright(file)
    except DECODING_ERRORS as error:
        raise BadInput(f"{path} is not an image that can be read ({error})") from error


def check_size(path: Path, size: tuple[int, int], picture: Pixels, name: Path) -> None:
    """Raise BadInput unless a file has the (width, height) of an image."""
    height, width, _ = picture.shape
    if size != (width, height):
        raise BadInput(
            f"{path} is {size[0]}x{size[1]}, but {name} is {width}x{height}; both must have the "
            "same size (after rotation by EXIF)"
        )


def write_image(path: Path, picture: Pixels, facts: dict[str, object]) -> None:
    """Write a PNG with its provenance, atomically."""
    info: PngInfo = png_text(facts)
    with atomic_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", pnginfo=info)


def check_png(path: Path) -> None:
    """Raise BadInput unless a file is a PNG."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"--output {path} must end in .png: other formats would change pixels")


def output_paths(
    picture: Path,
    output: Path | None,
    suffix: str,
    seeds: range,
    inputs: Sequence[Path],
    check: Callable[[Path], None] = check_png,
) -> list[Path]:
    """Return the file to write for each seed: the named one, or one beside the image; several
    have their seeds in their names.

    Args:
        picture: That the files are named after.
        output: What the user named, if anything.
        suffix: Of names after the image; ends with the first seed.
        seeds: Of the images.
        inputs: Files that are read.
        check: Raises BadInput if a file has an ending that it must not have.

    Raises:
        BadInput: One would replace an input, has another ending, or cannot be written.
    """
    first = output or picture.with_name(f"{picture.stem}-{suffix}.png")
    check(first)
    paths = [first]
    if len(seeds) > 1:
        stem = first.stem.removesuffix(f"-{seeds[0]}")
        paths = [first.with_name(f"{stem}-{seed}{first.suffix}") for seed in seeds]
    for path in paths:
        check_output_file(path)
        for each in inputs:
            if _is_same_file(path, each):
                raise BadInput(f"{path} would replace {each}; name another file with --output")
    return paths


def _is_same_file(one: Path, other: Path) -> bool:
    same = one.resolve() == other.resolve()
    return same or (one.exists() and other.exists() and one.samefile(other))


def _grey_of(path: Path, image: Image.Image) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            raise BadInput(
                f"{path} has transparent parts; paint the part to draw white, and the rest black"
            )
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        raise BadInput(f"{path} has the mode {image.mode}; save it with 8 bits per pixel")
    pixels = np.asarray(image.convert("RGB"))
    if (pixels != pixels[..., :1]).any():
        raise BadInput(f"{path} has colours; save the mask in grey: white is drawn, black stays")
    return pixels[..., 0]
