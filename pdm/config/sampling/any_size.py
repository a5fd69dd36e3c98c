"""Sizes, colours and enlarging models of pictures that are drawn at any size."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pdm.config.fields import STRICT
from pdm.config.limits import check_limits, require_sha256

MIN_SIDE, MAX_SIDE = 128, 18_432

Colour = Literal["wavelet", "adain", "none"]
COLOURS: tuple[Colour, ...] = get_args(Colour)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnlargerConfig:
    """Other models that enlarge what the sampled one composes."""

    __pydantic_config__: ClassVar = STRICT

    path: Annotated[str, "folder of their autoencoder/ and diffusion/"]
    sha256: Annotated[str, "of diffusion/model.safetensors in it"]

    def __post_init__(self) -> None:
        check_limits(self)
        require_sha256(self.sha256)


def parse_size(text: str) -> tuple[int, int]:
    """Read a size such as 6000x2500, the width first.

    Returns:
        (H, W).

    Raises:
        ValueError: It is not a size, or a side is out of range.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    width, height = (int(side) for side in found.groups()) if found else (0, 0)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise ValueError(
            f"expected a width and a height from {MIN_SIDE} to {MAX_SIDE:,} pixels, such as "
            f"6000x2500, got '{text}'"
        )
    return height, width
