"""A perceptual distance, such as LPIPS, from a TorchScript file that the user names.

Nothing is downloaded. The digest in the params says which file was meant, so equal params mean an
equal loss. The file holds a module that takes two batches of pictures (B, 3, h, w) in [-1, 1] and
gives their distances, of any shape, zero for equal pictures; their mean is the loss.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from pdm.config.autoencoder import PerceptualConfig
from pdm.errors import BadInput
from pdm.files import sha256_of

TRIAL_PX = 64  # side of the pictures that a file must find equal; LPIPS pools four times


class PerceptualLoss(nn.Module):
    """A frozen perceptual distance, in float32 whatever the precision of the training."""

    def __init__(self, network: nn.Module, weight: float) -> None:
        super().__init__()
        self.network, self.weight = network.eval(), weight
        for parameter in network.parameters():
            parameter.requires_grad = False

    def forward(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Give the mean distance of two batches (B, 3, h, w) in [-1, 1]; gradients reach both."""
        # Unoptimised: TorchScript rewrites a module after its first calls, and a resumed training
        # would differ from an unbroken one by the rounding.
        with (
            torch.autocast(found.device.type, enabled=False),
            torch.jit.optimized_execution(False),  # type: ignore[attr-defined]
        ):
            distances: Tensor = self.network(found.float(), wanted.float())
        return distances.mean()


def load_perceptual(config: PerceptualConfig, device: torch.device) -> PerceptualLoss:
    """Load the perceptual distance that the section `autoencoder.perceptual` names.

    Raises:
        BadInput: The file cannot be read, has another sha256, or gives no distance.
    """
    path = Path(config.path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BadInput(f"autoencoder.perceptual.path: {path} cannot be read: {error}") from error
    if found != config.sha256:
        raise BadInput(
            f"autoencoder.perceptual.path: {path} has sha256 {found}, but autoencoder.perceptual."
            f"sha256 is {config.sha256}; name the file that was meant, or its digest"
        )
    images = torch.zeros(1, 3, TRIAL_PX, TRIAL_PX, device=device)
    try:
        network = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
        perceptual = PerceptualLoss(network, config.weight)
        same = perceptual(images, images)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadInput(
            f"autoencoder.perceptual.path: {path} holds no TorchScript module that takes two "
            f"batches of pictures and gives their distance: {reason}"
        ) from error
    if same != 0:
        raise BadInput(
            f"autoencoder.perceptual.path: {path} finds equal pictures {same.item()} apart; "
            "it must give a distance, zero for equal pictures"
        )
    return perceptual
