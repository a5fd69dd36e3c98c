"""One of LDM's denoising networks, in place of the pyramid UNet.

The names are those of the released configurations. Any of them can learn any task that gives the
network a picture or a map: its channels stand beside those of the latent. Only txt2img and layout
read tokens, of a text or of boxes, by cross-attention.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import CountOrZero, Width, check_limits, require
from pdm.config.networks.text import TextTransformerConfig

WIDTH_MULTIPLES = {
    "celeba": 32,
    "churches": 96,
    "inpainting_big": 32,
    "bsr_sr": 32,
    "semantic": 32,
    "txt2img": 32,
    "layout": 32,
}  # widths must be multiples of these, for groups and heads
SIDE_MULTIPLES = {
    "celeba": 8,
    "churches": 16,
    "inpainting_big": 8,
    "bsr_sr": 8,
    "semantic": 4,
    "txt2img": 8,
    "layout": 8,
}  # sides of latents must be multiples of these, halved 2 to 4 times
# Task -> the network that reads its tokens.
TOKEN_READERS = {"text": "txt2img", "layout": "layout"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentUNetConfig:
    """Name, width and prediction of the network."""

    __pydantic_config__: ClassVar = STRICT

    name: Annotated[
        Literal["celeba", "churches", "inpainting_big", "bsr_sr", "semantic", "txt2img", "layout"],
        "as released; the last five for a task",
    ]
    base_width: Annotated[
        Width, "channels at the finest resolution: 224, 192, 256, 160, 128, 320, 128 as published"
    ]
    predicts: Annotated[
        Literal["noise", "velocity"], "noise as published, which needs timesteps: ldm"
    ]
    condition_channels: Annotated[
        CountOrZero,
        "channels beside the latent, which follow from diffusion.task; leave out",
        Neutral(0),
    ] = 0
    map_classes: Annotated[
        CountOrZero, "classes of maps, which follow from diffusion.task; leave out", Neutral(0)
    ] = 0
    token_width: Annotated[
        CountOrZero, "txt2img, layout: follows from diffusion.task; leave out", Neutral(0)
    ] = 0
    text: Annotated[
        TextTransformerConfig | None,
        "txt2img, layout: follows from diffusion.task; leave out",
        Neutral(None),
    ] = None

    def __post_init__(self) -> None:
        check_limits(self)
        multiple = WIDTH_MULTIPLES[self.name]
        good = self.base_width % multiple == 0
        require(good, "base_width", self.base_width, f"a multiple of {multiple}")
