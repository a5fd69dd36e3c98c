"""The adversarial (GAN) hinge loss: autoencoder and discriminator in one backward pass.

The discriminator sees reconstructions twice: with its weights detached, so that the generator loss
trains the autoencoder alone, and with the reconstructions detached, so that the discriminator loss
trains the discriminator alone. One sum of losses then gives each network its own gradient, and
gradient averaging, accumulation and resuming work as for one network.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from pdm.config.stages.autoencoder import AdversarialConfig
from pdm.models.discriminator import PatchDiscriminator

# Both keep the quotient finite, as in the code of LDM's first stages (arXiv:2112.10752).
NORM_EPSILON = 1.0e-4
MAX_WEIGHT = 1.0e4


def adaptive_weight(reconstruction: Tensor, generator: Tensor, last_weight: Tensor) -> Tensor:
    """Return the weight that makes the generator's gradient as large as the reconstruction's.

    Args:
        reconstruction: Reconstruction loss.
        generator: Generator loss.
        last_weight: Weight of the decoder's last layer, where both gradients are compared.

    Returns:
        Norm of the first gradient over that of the second, at most `MAX_WEIGHT`; detached.
    """
    norms: list[Tensor] = [
        torch.autograd.grad(loss, last_weight, retain_graph=True)[0].float().norm()
        for loss in (reconstruction, generator)
    ]
    return (norms[0] / (norms[1] + NORM_EPSILON)).clamp(0, MAX_WEIGHT).detach()


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Return the discriminator's hinge loss: 0 for pictures above 1, reconstructions below -1."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


class AdversarialLoss(nn.Module):
    """The discriminator, and the losses of both sides.

    Args:
        config: Size of the discriminator, its start in images, and the weight of its loss.
    """

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminator = PatchDiscriminator(config.width, config.num_layers)

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        reconstruction: Tensor,
        last_weight: Tensor,
        images_seen: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the losses of generator and discriminator.

        Args:
            prediction: Reconstructions (B, 3, H, W), with their graph.
            target: The pictures, same shape.
            reconstruction: Reconstruction loss, with its graph.
            last_weight: Weight of the decoder's last layer.
            images_seen: Images of the training so far.

        Returns:
            The sum that is added to the loss, and the terms "generator", "discriminator" and
            "adversarial_weight". Before the start: zero, and no terms.
        """
        if images_seen < self.config.start_images:
            return self._zero(), {}
        detached = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        generator = -functional_call(self.discriminator, detached, (prediction,)).float().mean()
        real, fake = self.discriminator(torch.cat([target, prediction.detach()])).float().chunk(2)
        discriminator = hinge(real, fake)
        weight = adaptive_weight(reconstruction, generator, last_weight) * self.config.weight
        terms = {
            "generator": generator,
            "discriminator": discriminator,
            "adversarial_weight": weight,
        }
        return weight * generator + discriminator, terms

    def _zero(self) -> Tensor:
        """Return zero, computed from all weights: DDP needs a gradient of each in every step."""
        return torch.stack([weight.sum() for weight in self.discriminator.parameters()]).sum() * 0
