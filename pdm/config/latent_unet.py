"""One of LDM's denoising networks, in place of the pyramid UNet."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require

GRAINS = {"celeba": 32, "churches": 96}  # what widths must be multiples of: groups and heads
SIDES = {"celeba": 8, "churches": 16}  # what sides of latents must be: halved 3 and 4 times


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentUNetConfig:
    """Which one, how wide, and what it predicts."""

    __pydantic_config__: ClassVar = STRICT

    name: Literal["celeba", "churches"]  # as released, both without a condition
    base_width: int  # channels at the finest resolution: 224 and 192 as published
    predicts: Literal["noise", "velocity"]  # noise as published, with timesteps: ldm

    def __post_init__(self) -> None:
        grain = GRAINS[self.name]
        good = self.base_width > 0 and self.base_width % grain == 0
        require(good, "base_width", self.base_width, f"a multiple of {grain}")
