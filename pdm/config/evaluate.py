"""Section `evaluate`: how samples and reconstructions are scored."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.common import STRICT, Mark
from pdm.config.limits import Count, Seed, SidePx, Width, check_limits, require, require_sha256
from pdm.config.networks import NetworkName


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """A pretrained network, in a file of the user's, and the convention that it is used by."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["inception", "dinov2", "clip"] | NetworkName, "the network"]
    path: Annotated[str, "a TorchScript module: images to features"]
    sha256: Annotated[str, "of the file"]
    convention: Annotated[
        Literal["clean-fid", "torch-fidelity", "torchmetrics", "torchmetrics-no-antialias"],
        "how images are resized for the network; see pdm/evaluation/features/resize.py",
    ]

    def __post_init__(self) -> None:
        require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Sizes and seeds of the scores. None needs downloaded weights."""

    __pydantic_config__: ClassVar = STRICT

    num_features: Annotated[Width, "of the random convolutional network (Fréchet distance)"]
    num_projections: Annotated[
        Count, "directions of the sliced Wasserstein distance", Mark.NOT_IN_FEATURES
    ]
    patches_per_image: Annotated[Count, "patches from each image and Laplacian level"]
    crops_per_image: Annotated[Count, "crops scored at their own size, without reduction"]
    crop_px: Annotated[SidePx, "side of a crop; at most the shorter side of the images"]
    features: Annotated[
        tuple[FeaturesConfig, ...],
        "pretrained networks to score with as well, from files of yours",
        Mark.NOT_IN_FEATURES,
    ]
    num_replicates: Annotated[
        Count, "bootstrap resamples behind each interval", Mark.NOT_IN_FEATURES
    ]
    num_neighbours: Annotated[
        Count, "samples shown beside their nearest training image", Mark.NOT_IN_FEATURES
    ]
    batch_size: Annotated[Count, "images scored at once"]
    seed: Annotated[Seed, "of random features, projections, crops and resamples"]

    def __post_init__(self) -> None:
        check_limits(self)
        names = [(each.kind, each.convention) for each in self.features]
        require(
            len(set(names)) == len(names),
            "features",
            names,
            "each kind of network at most once by each convention",
        )
