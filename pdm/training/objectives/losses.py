"""Losses of the autoencoder and of the denoising network: a batch in, named losses out.

Both are modules, so that a data-parallel wrapper sees one forward call per backward call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.diffusion.flow import flow_loss
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.condition import NO_CONDITION, Condition, with_condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.posterior import sample_latents
from pdm.models.levels.pyramid import Pyramid
from pdm.models.regions import Region
from pdm.training.objectives.adversarial import AdversarialLoss, Maps
from pdm.training.objectives.equivariance import downscale_images, downscale_latents
from pdm.training.objectives.perceptual import PerceptualLoss
from pdm.training.objectives.pixel_losses import PIXEL_LOSSES, gradient_loss

TIME_BINS = 4
# Perceptual network and discriminator see crops of larger pictures: they judge only local detail,
# and at 2048x2048 they would take more memory than all the rest.
MAX_CROP_PX = 512


@dataclass(frozen=True)
class Plan:
    """Random choices of one step, the same on all workers."""

    num_levels: int  # number of coarsest levels that the partial output is decoded from
    downscaling: int  # downscaling factor of the equivariance loss
    images_seen: int  # before this step
    region: Region | None  # part of the picture that is decoded and compared; None for all
    # Part of what is decoded that perceptual network and discriminator see; None for all.
    crop: Region | None


class AutoencoderLosses(nn.Module):
    """Losses of an autoencoder: reconstruction (full, partial, downscaled), GAN, KL or codebook.

    Args:
        model: The network under training. Its `penalty` is the loss of its latents.
        config: Weights of the terms.
        perceptual: Perceptual loss on crops of the full reconstruction; None for none.
        adversary: Adversarial loss on the same crops, with the discriminator that it trains; None
            for none.
    """

    def __init__(
        self,
        model: Autoencoder,
        config: AutoencoderConfig,
        perceptual: PerceptualLoss | None,
        adversary: AdversarialLoss | None,
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.perceptual, self.adversary = perceptual, adversary

    def forward(self, images: Tensor, noise: Pyramid, plan: Plan) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            noise: Standard normal, shaped like the latents.
            plan: Random choices of the step.

        Returns:
            "loss" is the weighted sum. Its terms: the pixel loss under its own name ("l1",
            "charbonnier"), "gradient", "partial", "perceptual" where there is one, "equivariance"
            where it has a weight, those of the model's `penalty`, and those of the GAN loss.
        """
        config = self.config
        means, log_variances = self.model.posterior(images)
        latents = sample_latents(means, log_variances, noise)
        prediction, target = self._decode(latents, images, plan.region)
        loss, terms = self._judge_whole(prediction, target, plan)
        if plan.num_levels < len(latents):
            # Every second picture is enough here, and saves a quarter of the step's time.
            prefix = tuple(level[::2] for level in latents[: plan.num_levels])
            terms["partial"], _ = self._pixel_distance(
                *self._decode(prefix, images[::2], plan.region)
            )
            loss = loss + config.partial_loss_weight * terms["partial"]
        if config.equivariance_loss_weight:
            terms["equivariance"] = self._equivariance_loss(latents, images, plan.downscaling)
            loss = loss + config.equivariance_loss_weight * terms["equivariance"]
        penalty, costs = self.model.penalty(means, log_variances)
        return {"loss": loss + penalty, **terms, **costs}

    def _decode(
        self, latents: Pyramid, images: Tensor, region: Region | None
    ) -> tuple[Tensor, Tensor]:
        """Decode the levels; give the result and the pictures, or the region of both."""
        if region is None:
            return self.model.decode_raw(latents, (images.shape[2], images.shape[3])), images
        return self.model.decode_region(latents, region), region.of(images)

    def _judge_whole(
        self, prediction: Tensor, images: Tensor, plan: Plan
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of all losses of the full reconstruction, and its terms."""
        loss, terms = self._pixel_distance(prediction, images)
        # Crops were once drawn here. The draws still move the generator on, so that the masks of
        # dropout, and all results of this version of the stage, stay as they were.
        torch.randint(1, (2,))
        crops = prediction, images
        if plan.crop is not None:
            crops = plan.crop.of(prediction), plan.crop.of(images)
        seen: tuple[Maps, Maps] = (crops[0],), (crops[1],)
        if self.perceptual is not None:
            if self.adversary is not None and self.adversary.sees_features:
                terms["perceptual"], ours, theirs = self.perceptual.compare(*crops)
                seen = ours, theirs
            else:
                terms["perceptual"] = self.perceptual(*crops)
            loss = loss + self.perceptual.weight * terms["perceptual"]
        if self.adversary is not None:
            gan, gan_terms = self.adversary(*seen, loss, self.model.last_weight, plan.images_seen)
            loss, terms = loss + gan, terms | gan_terms
        return loss, terms

    def _pixel_distance(
        self, prediction: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of pixel and gradient loss, and both terms."""
        name, prediction = self.config.pixel_loss, prediction.float()
        terms = {
            name: PIXEL_LOSSES[name](prediction, target),
            "gradient": gradient_loss(prediction, target),
        }
        return terms[name] + self.config.gradient_loss_weight * terms["gradient"], terms

    def _equivariance_loss(self, latents: Pyramid, images: Tensor, factor: int) -> Tensor:
        """Compare what the downscaled latents decode to with the downscaled pictures."""
        shrunk = downscale_latents(latents, self.model.level_downsamplings, factor)
        target = downscale_images(images, factor)
        prediction = self.model.decode_raw(shrunk, (target.shape[2], target.shape[3]))
        distance, _ = self._pixel_distance(prediction, target)
        return distance


class FlowLosses(nn.Module):
    """Loss of a denoising network: the error of its velocities.

    Args:
        model: The network under training.
        level_weights: Weight of each level, coarse to fine.
    """

    level_weights: Tensor

    def __init__(self, model: Denoiser, level_weights: Sequence[float]) -> None:
        super().__init__()
        self.model = model
        # Not persistent: they belong to the config, not to a checkpoint.
        device = next(model.parameters()).device
        weights = torch.tensor(level_weights, device=device)
        self.register_buffer("level_weights", weights / weights.sum(), persistent=False)

    def forward(
        self,
        data: Pyramid,
        noise: Pyramid,
        t: Tensor,
        time_weights: Tensor,
        left: Tensor,
        condition: Condition = NO_CONDITION,
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch of latents.

        Args:
            data: Pyramid of standardised latents.
            noise: Standard normal, same shapes.
            t: Times (B,), or (B, levels) where each level has its own.
            time_weights: Factors of the squared errors, (B,) or (B, levels).
            left: (B,) fraction of the training that is left.
            condition: Of the pictures, with the parts that the network takes.

        Returns:
            "loss" is the weighted mean over the levels; "loss_level" is each level's own;
            "loss_time" is the loss of the pictures in each of `TIME_BINS` equal intervals of time,
            from noise to data, NaN where there are none. Where levels have their own times, their
            mean counts.
        """
        self.model.set_dropout(left)
        velocity = with_condition(self.model, condition)
        loss, errors = flow_loss(velocity, data, noise, t, self.level_weights, time_weights)
        place = t if t.ndim == 1 else t.clamp(0, 1).mean(dim=1)
        by_time = means_by_time(self.level_weights @ errors, place)
        return {"loss": loss, "loss_level": errors.mean(dim=1), "loss_time": by_time}


def means_by_time(values: Tensor, t: Tensor) -> Tensor:
    """Return (TIME_BINS,) means of the values (B,) by the interval of [0, 1] of their times (B,).

    Times outside [0, 1] count as the nearer end.
    """
    parts = (t * TIME_BINS).long().clamp(0, TIME_BINS - 1)
    # Not F.one_hot, which makes the host wait for the largest of the parts.
    members = (parts[:, None] == torch.arange(TIME_BINS, device=t.device)).to(values.dtype)
    return values @ members / members.sum(dim=0)
