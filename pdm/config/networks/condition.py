"""Sizes of what a denoising network is conditioned on: classes, texts, pictures and maps."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import Count, CountOrZero, check_limits, require
from pdm.config.networks.text import TextTransformerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionConfig:
    """Sizes of what the network is conditioned on; 0 for unused kinds. They follow from
    `diffusion.task` where this is null."""

    __pydantic_config__: ClassVar = STRICT

    num_classes: Annotated[CountOrZero, "classes of the data; 0: none"]
    token_width: Annotated[CountOrZero, "length of each token of a text; 0: none"]
    map_channels: Annotated[CountOrZero, "channels of a map beside the latents; 0: none"]
    level_channels: Annotated[
        tuple[Count, ...],
        "channels of a map for each level but the global one, coarse to fine; []: none",
        Neutral(()),
    ] = ()
    text: Annotated[
        TextTransformerConfig | None,
        "transformer that reads word pieces or boxes; null: tokens are states already",
        Neutral(None),
    ] = None

    def __post_init__(self) -> None:
        check_limits(self)
        if self.text is not None:
            width = self.token_width
            require(width == self.text.width, "token_width", width, f"{self.text.width}, as text's")
