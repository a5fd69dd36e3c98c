"""The hinge game of an autoencoder against a discriminator, both in one backward pass.

The discriminator judges reconstructions twice: with its weights held fast, so that what it says
teaches the autoencoder alone, and with the reconstructions held fast, so that its own mistakes
teach the discriminator alone. One sum of losses then gives each network its own gradient, and
gathering, accumulating and resuming work as for one network.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from pdm.config.autoencoder import AdversarialConfig
from pdm.models.discriminator import PatchDiscriminator

# Both from LDM's first stages (arXiv:2112.10752, its code): what keeps the quotient finite.
SMALLEST_NORM = 1.0e-4
LARGEST_WEIGHT = 1.0e4


def adaptive_weight(reconstruction: Tensor, generator: Tensor, last_weight: Tensor) -> Tensor:
    """How much the discriminator's word must weigh to pull as hard as the reconstruction does.

    Args:
        reconstruction: Loss.
        generator: Loss, as the discriminator gives it.
        last_weight: Of the decoder's last layer, where both pulls are compared.

    Returns:
        Norm of the first gradient over that of the second, at most `LARGEST_WEIGHT`; a constant
        to what follows.
    """
    norms: list[Tensor] = [
        torch.autograd.grad(loss, last_weight, retain_graph=True)[0].float().norm()
        for loss in (reconstruction, generator)
    ]
    return (norms[0] / (norms[1] + SMALLEST_NORM)).clamp(0, LARGEST_WEIGHT).detach()


def hinge(real: Tensor, found: Tensor) -> Tensor:
    """The discriminator's loss: pictures above 1 and reconstructions below -1 cost nothing."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + found).mean())


class AdversarialLoss(nn.Module):
    """The discriminator, and the losses of the game.

    Args:
        config: Its size, its start and its weight.
    """

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminator = PatchDiscriminator(config.width, config.num_layers)

    def forward(
        self,
        found: Tensor,
        wanted: Tensor,
        reconstruction: Tensor,
        last_weight: Tensor,
        images_seen: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses of both players.

        Args:
            found: Reconstructions (B, 3, H, W), with their graph.
            wanted: The pictures.
            reconstruction: Loss, with its graph.
            last_weight: Of the decoder's last layer.
            images_seen: Of the training so far.

        Returns:
            What is added to the loss; and "generator", "discriminator" and "adversarial_weight".
            Nothing before the start: zero, and no terms.
        """
        if images_seen < self.config.start_images:
            return self._resting(), {}
        held = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        generator = -functional_call(self.discriminator, held, (found,)).float().mean()
        real, fake = self.discriminator(torch.cat([wanted, found.detach()])).float().chunk(2)
        discriminator = hinge(real, fake)
        weight = adaptive_weight(reconstruction, generator, last_weight) * self.config.weight
        terms = {
            "generator": generator,
            "discriminator": discriminator,
            "adversarial_weight": weight,
        }
        return weight * generator + discriminator, terms

    def _resting(self) -> Tensor:
        """Zero, from all weights: a data-parallel wrapper wants to see each in every step."""
        return torch.stack([weight.sum() for weight in self.discriminator.parameters()]).sum() * 0
