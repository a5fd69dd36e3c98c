"""Enlarges with a model that was not trained for it: its drawing is guided to the small image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from pdm.config.task import SuperResolutionTask, UnconditionalTask
from pdm.counts import counted
from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.diffusion.image_guide import ImageGuide
from pdm.errors import BadInput
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.models.levels.pyramid import Pyramid

FACTORS = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Guiding:
    """Enlarging by guidance.

    Args:
        factor: Of each side.
        strength: How much of its distance from the small image a predicted image loses at each
            evaluation of the network, above 0 and at most 1.
    """

    factor: int
    strength: float


def choose_guiding(models: LoadedModels, factor: int | None, strength: float) -> Guiding:
    """Return the settings to enlarge with a model of no task.

    Args:
        models: The models.
        factor: What the user asks for; None for 4.
        strength: See `Guiding`.

    Raises:
        BadInput: The model has a task, or takes few steps, or the factor does not fit its size.
    """
    if isinstance(models.task, SuperResolutionTask):
        raise BadInput(
            "--guide-strength is for models that were not trained to enlarge, but this one was; "
            "leave it out"
        )
    if not isinstance(models.task, UnconditionalTask):
        raise BadInput(
            f"the model was trained for {models.task.kind}; --guide-strength needs an "
            "unconditional one"
        )
    if models.networks.stops is not None:
        raise BadInput(
            f"for {counted(models.config.steps, 'step')} the model has a network of its own "
            "(few-steps), which cannot be guided; choose another number with --steps"
        )
    factor, known = factor or 4, factors_of(models)
    if factor not in known:
        listed = ", ".join(map(str, known))
        raise BadInput(
            f"--factor is {factor}, but this model can be guided by the factors {listed}"
        )
    return Guiding(factor, strength)


def factors_of(models: LoadedModels) -> list[int]:
    """Return the factors that divide the sides of the model's images and of its cells."""
    sides = (*models.size, models.side_multiple)
    return [factor for factor in FACTORS if all(side % factor == 0 for side in sides)]


def guide_to(models: LoadedModels, small: Sequence[Pixels], guiding: Guiding) -> ImageGuide:
    """Guide images so that the means of their cells become the pixels of small ones.

    The predicted data are decoded, the difference from the small image is added, enlarged
    smoothly, and both images are encoded: their difference is the change. So what the autoencoder
    loses does not count.

    Args:
        models: The models.
        small: uint8 (H, W, 3) for each image of the batch, all of one size.
        guiding: Factor and strength.
    """
    target = to_images(np.stack(small), models.device)
    size = small[0].shape[0] * guiding.factor, small[0].shape[1] * guiding.factor

    @torch.no_grad()
    def correct(data: Pyramid, rows: Sequence[int]) -> Pyramid:
        drawn = models.autoencoder.decode(data, size)
        missing = target[list(rows)] - F.avg_pool2d(drawn, guiding.factor)
        wanted = drawn + F.interpolate(missing, size=size, mode="bilinear")
        both = models.autoencoder.encode(torch.cat([drawn, wanted.clamp(-1, 1)]))
        halves = [level.chunk(2) for level in both]
        return tuple(after - before for before, after in halves)

    return ImageGuide(correct, guiding.strength)
