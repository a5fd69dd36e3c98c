"""Draws pictures that curation must drop: a function for each kind, and the allowed reasons."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.landscapes import draw

Image = NDArray[Any]  # uint8, (height, width, 3), RGB

JPEG_QUALITY = 90
# Flawed pictures show landscapes from this index on, which the good ones do not reach.
FIRST_INDEX = 1_000_000

# Kind -> reasons for which curation may drop it.
EXPECTED_REASONS = {
    "too_small": frozenset({"too_small"}),
    "blurred": frozenset({"blurry"}),
    "enlarged": frozenset({"enlarged", "blurry"}),
    "truncated": frozenset({"unreadable"}),
    "not_an_image": frozenset({"unreadable"}),
    "wrong_shape": frozenset({"wrong_shape"}),
    "dark": frozenset({"dark", "low_information"}),
    "light": frozenset({"light", "low_information"}),
    "flat": frozenset({"low_information", "blurry"}),
    "exact_duplicate": frozenset({"exact_duplicate"}),
    "near_duplicate": frozenset({"near_duplicate"}),
}
KINDS = tuple(EXPECTED_REASONS)
# Copies of a good landscape; curation drops the copy or the original.
COPIES = ("exact_duplicate", "near_duplicate")


def draw_flawed(
    kind: str, number: int, seed: int, width_px: int, height_px: int, landscapes: int
) -> bytes:
    """The bytes of flawed picture `number` of a kind.

    Args:
        landscapes: Number of good landscapes, of which the copies are made.
    """
    index = FIRST_INDEX + 100 * KINDS.index(kind) + number
    if kind in COPIES:
        index = original_of(kind, number, landscapes)
    return _MAKERS[kind](seed, index, width_px, height_px)


def original_of(kind: str, number: int, landscapes: int) -> int:
    """Index of the landscape that a copy shows."""
    return (COPIES.index(kind) + len(COPIES) * number) % landscapes


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """Encode an RGB image."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def draw_good(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    """A landscape without flaws, as a JPEG."""
    return encode_jpeg(draw(seed, index, width_px, height_px))


def _too_small(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    return draw_good(seed, index, width_px * 2 // 5, height_px * 2 // 5)


def _blurred(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    image = draw(seed, index, width_px, height_px)
    return encode_jpeg(cv2.GaussianBlur(image, (0, 0), width_px / 300))


def _enlarged(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    image = draw(seed, index, width_px // 3, height_px // 3)
    return encode_jpeg(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LANCZOS4))


def _truncated(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    whole = draw_good(seed, index, width_px, height_px)
    return whole[: len(whole) // 2]


def _not_an_image(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    text = f"<!DOCTYPE html><title>Gone</title><p>Image {seed}-{index} is no longer here.</p>\n"
    return text.encode()


def _wrong_shape(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    return draw_good(seed, index, 2 * width_px, 3 * height_px // 4)


def _dark(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    image = draw(seed, index, width_px, height_px)
    return encode_jpeg(cv2.convertScaleAbs(image, alpha=0.08))


def _light(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    image = draw(seed, index, width_px, height_px)
    return encode_jpeg(cv2.convertScaleAbs(image, alpha=0.08, beta=235))


def _flat(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    random = np.random.default_rng([seed, index])
    colour = random.integers(60, 196, 3)
    noise = random.integers(-2, 3, (height_px, width_px, 1))
    return encode_jpeg((colour + noise).astype(np.uint8))


def _near_duplicate(seed: int, index: int, width_px: int, height_px: int) -> bytes:
    image = draw(seed, index, width_px, height_px)
    size = (width_px * 15 // 16, height_px * 15 // 16)
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(cv2.convertScaleAbs(smaller, alpha=1.04, beta=4), quality=82)


_MAKERS: dict[str, Callable[[int, int, int, int], bytes]] = {
    "too_small": _too_small,
    "blurred": _blurred,
    "enlarged": _enlarged,
    "truncated": _truncated,
    "not_an_image": _not_an_image,
    "wrong_shape": _wrong_shape,
    "dark": _dark,
    "light": _light,
    "flat": _flat,
    "exact_duplicate": draw_good,
    "near_duplicate": _near_duplicate,
}
