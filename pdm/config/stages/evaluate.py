"""Section `evaluate`: how samples and reconstructions are scored."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pdm.config.fields import STRICT, Mark
from pdm.config.limits import Count, Seed, SidePx, Width, check_limits, require, require_sha256
from pdm.config.networks.packaged import NetworkName


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """A trained network: one whose weights a package ships, or a file from the user, with its
    resize convention."""

    __pydantic_config__: ClassVar = STRICT

    network: Annotated[NetworkName | None, "a network by its name (`pyramid networks list`)"] = None
    kind: Annotated[
        Literal["inception", "dinov2", "clip"] | NetworkName | None, "of a file: the network"
    ] = None
    path: Annotated[str | None, "of a file: a TorchScript module, images to features"] = None
    sha256: Annotated[str | None, "of the file"] = None
    convention: Annotated[
        Literal["clean-fid", "torch-fidelity", "torchmetrics", "torchmetrics-no-antialias"] | None,
        "of a file: how images are resized for it; see pdm/evaluation/features/resize.py",
    ] = None

    def __post_init__(self) -> None:
        for name in ("kind", "path", "sha256", "convention"):
            value = getattr(self, name)
            expected = "a value without network" if self.network is None else "none with network"
            require((value is None) == (self.network is not None), name, value, expected)
        if self.sha256 is not None:
            require_sha256(self.sha256)

    @property
    def network_name(self) -> str | None:
        """Name of the packaged network; None if it is not one."""
        return self.network or (self.kind if self.kind in get_args(NetworkName) else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Networks, sizes and seeds of the scores. Nothing is downloaded."""

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
        "trained networks to score with as well: by name, or files of yours",
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
        names = [each.network or (each.kind, each.convention) for each in self.features]
        require(
            len(set(names)) == len(names),
            "features",
            names,
            "each kind of network at most once by each convention",
        )
