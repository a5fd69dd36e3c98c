"""Sizes and colours of pictures that are drawn at any size."""

import re
from typing import Literal, get_args

LEAST_SIDE, LARGEST_SIDE = 128, 18_432

Colour = Literal["wavelet", "adain", "none"]
COLOURS: tuple[Colour, ...] = get_args(Colour)


def parse_size(text: str) -> tuple[int, int]:
    """Read a size such as 6000x2500, the width first.

    Returns:
        (H, W).

    Raises:
        ValueError: It is no size, or a side is out of range.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not all(LEAST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
        raise ValueError(
            f"expected a width and a height from {LEAST_SIDE} to {LARGEST_SIDE:,} pixels, such as "
            f"6000x2500, got '{text}'"
        )
    return height, width
