"""A perceptual distance, by a network that a package ships or by a file such as LPIPS.

Nothing is downloaded. The weights of packages are pinned by their digest, and that of a file is in
the params: equal params mean an equal loss. A file is a TorchScript module that takes two batches
of pictures (B, 3, h, w) in [-1, 1] and gives their distances, of any shape, zero for equal
pictures; their mean is the loss.
"""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdm.config.stages.autoencoder import PerceptualConfig
from pdm.errors import BadInput
from pdm.files import check_sha256
from pdm.models.features.feature_distance import FeatureDistance
from pdm.models.features.published_weights import load_published
from pdm.models.features.torchscript import network_in

TRIAL_PX = 64  # side of the pictures that a file must find equal; LPIPS pools four times


class PerceptualLoss(nn.Module):
    """A frozen perceptual distance, in float32 whatever the precision of the training."""

    def __init__(self, network: nn.Module, weight: float) -> None:
        super().__init__()
        self.network, self.weight = network.eval(), weight
        for parameter in network.parameters():
            parameter.requires_grad = False

    def compare(
        self, prediction: Tensor, target: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return what `forward` does, and the features of both batches at each stride.

        Only a network by its name gives its features.
        """
        assert isinstance(self.network, FeatureDistance)
        with _without_autocast(prediction):
            ours = self.network.directions(prediction.float())
            theirs = self.network.directions(target.float())
            distances = self.network.between(ours, theirs)
        return distances.mean(), tuple(ours), tuple(theirs)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance of two batches (B, 3, h, w) in [-1, 1]; gradients reach both."""
        # Unoptimised: TorchScript rewrites a module after its first calls, and a resumed training
        # would differ from an unbroken one by the rounding.
        with (
            _without_autocast(prediction),
            torch.jit.optimized_execution(False),  # type: ignore[attr-defined]
        ):
            distances: Tensor = self.network(prediction.float(), target.float())
        return distances.mean()


def _without_autocast(images: Tensor) -> contextlib.AbstractContextManager[Any]:
    if images.is_meta:  # torch has no autocast there
        return contextlib.nullcontext()
    return torch.autocast(images.device.type, enabled=False)


def load_perceptual(config: PerceptualConfig, device: torch.device) -> PerceptualLoss:
    """Load the perceptual distance that the section `autoencoder.perceptual` names.

    Raises:
        Unavailable: The package that ships the network is not installed.
        BadInput: The file cannot be read, has another sha256, or gives no distance.
    """
    if config.network is not None:
        network = FeatureDistance(load_published(config.network), config.texture)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return PerceptualLoss(network, config.weight)
    assert config.path is not None  # the config has one of both
    return _from_file(Path(config.path), config, device)


def network_name(config: PerceptualConfig) -> str | None:
    """Which of the networks of `pyramid networks list` judges; None if it is none of them."""
    return config.network or network_in(Path(str(config.path)))


def _from_file(path: Path, config: PerceptualConfig, device: torch.device) -> PerceptualLoss:
    check_sha256(path, str(config.sha256), "autoencoder.perceptual")
    images = torch.zeros(1, 3, TRIAL_PX, TRIAL_PX, device=device)
    try:
        network = torch.jit.load(path, map_location=device)
        perceptual = PerceptualLoss(network, config.weight)
        same = perceptual(images, images)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadInput(
            f"autoencoder.perceptual.path: {path} is not a TorchScript module that takes two "
            f"batches of images and returns their distances: {reason}"
        ) from error
    if same != 0:
        raise BadInput(
            f"autoencoder.perceptual.path: {path} returns {same.item()} for equal images; "
            "it must return a distance, which is zero for them"
        )
    return perceptual
