"""Section `evaluate`: how samples and reconstructions are scored."""

from dataclasses import dataclass
from typing import ClassVar

from pdm.config.common import STRICT, require, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Sizes and seeds of the scores. None needs downloaded weights."""

    __pydantic_config__: ClassVar = STRICT

    num_features: int  # of the random convolution network, for the Fréchet distance
    num_projections: int  # directions of the sliced Wasserstein distance
    patches_per_image: int  # per Laplacian level
    num_replicates: int  # bootstrap resamples behind every interval
    num_neighbours: int  # samples shown beside their nearest training picture
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        require_positive(
            self,
            "num_features",
            "num_projections",
            "patches_per_image",
            "num_replicates",
            "num_neighbours",
            "batch_size",
        )
        require(self.seed >= 0, "seed", self.seed, "0 or more")
