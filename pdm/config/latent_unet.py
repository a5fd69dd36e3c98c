"""One of LDM's denoising networks, in place of the pyramid UNet."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.common import STRICT
from pdm.config.limits import Width, check_limits, require

WIDTH_MULTIPLES = {
    "celeba": 32,
    "churches": 96,
}  # widths must be multiples of these, for groups and heads
SIDE_MULTIPLES = {
    "celeba": 8,
    "churches": 16,
}  # sides of latents must be multiples of these, halved 3 and 4 times


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentUNetConfig:
    """Name, width and prediction of the network."""

    __pydantic_config__: ClassVar = STRICT

    name: Annotated[Literal["celeba", "churches"], "as released, both unconditional"]
    base_width: Annotated[Width, "channels at the finest resolution: 224 and 192 as published"]
    predicts: Annotated[
        Literal["noise", "velocity"], "noise as published, which needs timesteps: ldm"
    ]

    def __post_init__(self) -> None:
        check_limits(self)
        multiple = WIDTH_MULTIPLES[self.name]
        good = self.base_width % multiple == 0
        require(good, "base_width", self.base_width, f"a multiple of {multiple}")
