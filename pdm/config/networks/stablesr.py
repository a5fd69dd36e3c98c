"""StableSR's networks. Folders that `pyramid import stablesr` wrote hold their settings; the params
have none, since the project does not train them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Fraction, Width, check_limits, require
from pdm.config.networks.first_stage import FirstStageConfig

GROUPS = 32  # of the norms; widths are multiples of it


@dataclass(frozen=True, kw_only=True, slots=True)
class StableSRConfig:
    """Sizes of the network. As published: 320, 64, 1024, 256 and 4."""

    __pydantic_config__: ClassVar = STRICT

    predicts: Annotated[
        Literal["noise", "v"], "noise at 512 pixels, v (Salimans and Ho) at 768, as published"
    ]
    base_width: Annotated[Width, "channels at the finest resolution"] = 320
    head_width: Annotated[Width, "channels of an attention head"] = 64
    text_width: Annotated[Width, "length of the text's token states"] = 1024
    encoder_width: Annotated[Width, "of the time-aware encoder, and of its maps"] = 256
    encoder_heads: Annotated[Count, "heads of its attention"] = 4

    def __post_init__(self) -> None:
        check_limits(self)
        for name, multiple in (
            ("base_width", GROUPS),
            ("base_width", self.head_width),
            ("encoder_width", GROUPS),
            ("encoder_width", self.encoder_heads),
        ):
            width = getattr(self, name)
            require(width % multiple == 0, name, width, f"a multiple of {multiple}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FusingFirstStageConfig(FirstStageConfig):
    """A first stage with controllable feature wrapping."""

    fusion_weight: Annotated[
        Fraction, "of the enlarged image's features in the decoder; 0.5 as in StableSR's code"
    ]
