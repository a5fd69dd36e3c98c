"""Section `evaluate`: how samples and reconstructions are scored."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """A pretrained network, in a file of the user's, and the convention that it is used by."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["inception", "dinov2", "clip"]
    path: str  # a TorchScript module: pictures to features
    sha256: str  # of the file
    # how pictures are brought to the network's size; see pdm/evaluation/features/resize.py
    convention: Literal["clean-fid", "torch-fidelity", "torchmetrics", "torchmetrics-no-antialias"]

    def __post_init__(self) -> None:
        require(
            re.fullmatch("[0-9a-f]{64}", self.sha256) is not None,
            "sha256",
            self.sha256,
            "64 digits from 0 to f, as sha256sum prints them",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Sizes and seeds of the scores. None needs downloaded weights."""

    __pydantic_config__: ClassVar = STRICT

    num_features: int  # of the random convolution network, for the Fréchet distance
    num_projections: int  # directions of the sliced Wasserstein distance
    patches_per_image: int  # per Laplacian level
    crops_per_image: int  # scored at their own size, without reduction
    crop_px: int  # side of a crop; the shorter side of the pictures if that is less
    features: tuple[FeaturesConfig, ...]  # pretrained networks to score with as well
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
            "crops_per_image",
            "crop_px",
            "num_replicates",
            "num_neighbours",
            "batch_size",
        )
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        names = [(each.kind, each.convention) for each in self.features]
        require(
            len(set(names)) == len(names),
            "features",
            names,
            "each kind of network at most once by each convention",
        )
