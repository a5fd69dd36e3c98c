"""What the two networks are trained to make small. Each takes a batch and gives named losses.

Both are modules, so that a data-parallel wrapper sees one forward call per backward call.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.autoencoder import AutoencoderConfig
from pdm.diffusion.flow import flow_loss
from pdm.models.codec import Autoencoder
from pdm.models.posterior import drawn
from pdm.models.pyramid import Pyramid
from pdm.models.unet import PyramidUNet

GRADIENT_SCALES = 3  # full size, half and quarter: edges, and the shapes that they bound


def gradient_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the pixel-to-pixel changes, both ways, over a few scales.

    L1 alone forgives a blurred edge; its gradients do not.

    Args:
        found: (B, C, H, W).
        wanted: The same shape.
    """
    difference = found - wanted
    terms = []
    for scale in range(GRADIENT_SCALES):
        difference = F.avg_pool2d(difference, 2) if scale else difference
        terms.append(difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean())
    return torch.stack(terms).mean()


class AutoencoderLosses(nn.Module):
    """Of an autoencoder: full and partial reconstruction, and what its latents cost.

    Args:
        model: The network under training. Its `penalty` says what it asks of its latents.
        config: Weights of the terms.
    """

    def __init__(self, model: Autoencoder, config: AutoencoderConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, images: Tensor, noise: Pyramid, num_levels: int) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            noise: Standard normal, shaped like the latents.
            num_levels: How many of the coarsest levels the partial output is decoded from.

        Returns:
            "loss" is the weighted sum; "l1", "gradient", "partial" and those of the model's
            `penalty` its terms.
        """
        config, size = self.config, (images.shape[2], images.shape[3])
        means, log_variances = self.model.posterior(images)
        latents = drawn(means, log_variances, noise)
        l1, gradient = self._distance(self.model.decode_raw(latents, size), images)
        # Every second picture is enough for it, and saves a quarter of the step.
        prefix = tuple(level[::2] for level in latents[:num_levels])
        partial = self._distance(self.model.decode_raw(prefix, size), images[::2])
        penalty, terms = self.model.penalty(means, log_variances)
        full = l1 + config.gradient_loss_weight * gradient
        part = partial[0] + config.gradient_loss_weight * partial[1]
        loss = full + config.partial_loss_weight * part + penalty
        return {"loss": loss, "l1": l1, "gradient": gradient, "partial": part, **terms}

    @staticmethod
    def _distance(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        found = found.float()
        return F.l1_loss(found, wanted), gradient_loss(found, wanted)


class FlowLosses(nn.Module):
    """Of the pyramid UNet: the error of its velocities.

    Args:
        model: The network under training.
        level_weights: Coarse to fine.
    """

    def __init__(self, model: PyramidUNet, level_weights: Sequence[float]) -> None:
        super().__init__()
        self.model, self.level_weights = model, level_weights

    def forward(self, data: Pyramid, noise: Pyramid, t: Tensor) -> dict[str, Tensor]:
        """Losses of a batch of latents with its noise and times (B,).

        Returns:
            "loss" is the weighted mean over the levels; "loss_level" each level's own.
        """
        loss, by_level = flow_loss(self.model, data, noise, t, self.level_weights)
        return {"loss": loss, "loss_level": by_level}
