"""The adversarial (GAN) hinge loss: autoencoder and discriminator in one backward pass.

A discriminator sees patches of the image, or the features that the perceptual loss has computed of
it. It sees reconstructions twice: with its weights detached, so that the generator loss trains the
autoencoder alone, and with the reconstructions detached, so that the discriminator loss trains the
discriminator alone. One sum of losses then gives each network its own gradient, and gradient
averaging, accumulation and resuming work as for one network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from pdm.config.stages.autoencoder import AdversarialConfig, AutoencoderConfig
from pdm.models.discriminator import PatchDiscriminator, ProjectedDiscriminator
from pdm.models.features.feature_distance import FeatureDistance
from pdm.training.objectives.perceptual import PerceptualLoss

Maps = tuple[Tensor, ...]  # what a discriminator sees: the images, or their features at each stride

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
        config: Kind and size of the discriminator, its start in images, and the weight of its loss.
        channels: Of the features that a projected discriminator sees, fine to coarse.
    """

    def __init__(self, config: AdversarialConfig, channels: Sequence[int] = ()) -> None:
        super().__init__()
        self.config = config
        if self.sees_features:
            self.discriminator: nn.Module = ProjectedDiscriminator(channels, config.width)
        else:
            assert config.num_layers is not None  # the config has checked it
            self.discriminator = PatchDiscriminator(config.width, config.num_layers)

    @property
    def sees_features(self) -> bool:
        """Whether the discriminator sees features in place of the images."""
        return self.config.kind == "projected"

    def forward(
        self,
        prediction: Maps,
        target: Maps,
        reconstruction: Tensor,
        last_weight: Tensor,
        images_seen: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the losses of generator and discriminator.

        Args:
            prediction: The reconstructions (B, 3, H, W) alone, or their features (B, C, h, w) at
                each stride, with their graph.
            target: The same of the images.
            reconstruction: Reconstruction loss, with its graph.
            last_weight: Weight of the decoder's last layer.
            images_seen: Images of the training so far.

        Returns:
            The sum that is added to the loss, and the terms "generator" and "discriminator"; with
            a discriminator of patches also "adversarial_weight". Before the start: zero, and no
            terms.
        """
        if images_seen < self.config.start_images:
            return self._zero(), {}
        detached = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        verdicts = _each(functional_call(self.discriminator, detached, prediction))
        generator = -_mean([logits.float().mean() for logits in verdicts])
        both = (
            torch.cat([real, fake.detach()]) for real, fake in zip(target, prediction, strict=True)
        )
        pairs = (logits.float().chunk(2) for logits in _each(self.discriminator(*both)))
        discriminator = _mean([hinge(real, fake) for real, fake in pairs])
        terms = {"generator": generator, "discriminator": discriminator}
        if self.sees_features:
            return self.config.weight * generator + discriminator, terms
        weight = adaptive_weight(reconstruction, generator, last_weight) * self.config.weight
        return weight * generator + discriminator, terms | {"adversarial_weight": weight}

    def _zero(self) -> Tensor:
        """Return zero, computed from all weights: DDP needs a gradient of each in every step."""
        return torch.stack([weight.sum() for weight in self.discriminator.parameters()]).sum() * 0


def build_adversary(
    config: AutoencoderConfig, perceptual: PerceptualLoss | None
) -> AdversarialLoss | None:
    """Build the adversarial loss of the params; None if there is none."""
    if config.adversarial is None:
        return None
    if config.adversarial.kind == "patch":
        return AdversarialLoss(config.adversarial)
    assert perceptual is not None  # the config has a network
    assert isinstance(perceptual.network, FeatureDistance)
    return AdversarialLoss(config.adversarial, perceptual.network.channels)


def _each(verdicts: Tensor | Maps) -> Maps:
    return (verdicts,) if isinstance(verdicts, Tensor) else verdicts


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
