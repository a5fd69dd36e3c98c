"""Setting `diffusion.lora`: fine-tuning by low-rank adaptation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Positive, check_limits, require

ATTENTION = "attention"  # stands for the layers of all attention


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adaptation (LoRA; Hu et al., arXiv:2106.09685): the weights W of `init_from` stay,
    and only the factors of W + alpha / rank * B A are trained."""

    __pydantic_config__: ClassVar = STRICT

    rank: Annotated[Count, "rows of A and columns of B, for each layer"]
    alpha: Annotated[Positive, "weight of the adapters, divided by rank"]
    targets: Annotated[
        tuple[str, ...],
        "ends of the names of layers; attention: queries, keys, values and outputs of attention",
    ] = (ATTENTION,)

    def __post_init__(self) -> None:
        check_limits(self)
        require(len(self.targets) > 0, "targets", self.targets, "at least one layer, or attention")

    @property
    def scale(self) -> float:
        """Factor of B A."""
        return self.alpha / self.rank
