"""The previews that are drawn during a training: their condition, noise and guidance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.data.annotations.box_outlines import outline_boxes
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.diffusion.flow import Velocity
from pdm.models.condition import NO_CONDITION, Condition, with_condition
from pdm.models.levels.pyramid import Pyramid
from pdm.tasks.examples import examples_to_preview
from pdm.tasks.layout import BoxLayout
from pdm.tasks.task import Encode, Task
from pdm.tasks.text import EMPTY, Text


@dataclass(frozen=True, slots=True)
class PreviewBatch:
    """A batch of previews to draw.

    Args:
        condition: What they show.
        seeds: Of their noise.
        scales: (B,), guidance scale of each; None for no guidance.
        negative: With `scales`: what guidance steers away from.
    """

    condition: Condition
    seeds: Sequence[int]
    scales: Tensor | None = None
    negative: Condition = NO_CONDITION

    def velocity(self, network: Callable[..., Pyramid], device: torch.device) -> Velocity:
        """Bind the batch to a network, with guidance where the scale is not 1."""
        velocity = with_condition(network, self.condition.change(lambda part: part.to(device)))
        if self.scales is None:
            return velocity
        guide = with_condition(network, self.negative.change(lambda part: part.to(device)))
        scales = self.scales.to(device)[:, None, None, None]

        def guided_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
            return tuple(
                torch.where(scales == 1, v, w + scales.to(v.dtype) * (v - w))
                for v, w in zip(velocity(pyramid, t), guide(pyramid, t), strict=True)
            )

        return guided_velocity


MakePreviews = Callable[[range], PreviewBatch]  # by the numbers of the pictures
Annotate = Callable[[int, Pixels], Pixels]  # of a sheet, by the number of the picture


def unconditional_previews(numbers: range) -> PreviewBatch:
    """Return previews without a condition."""
    return PreviewBatch(NO_CONDITION, numbers)


def without_annotation(number: int, picture: Pixels) -> Pixels:
    """The picture as it was drawn."""
    return picture


def annotations_of_task(task: Task, shards: LatentShards) -> Annotate:
    """Return what draws the condition on the pictures of a sheet: boxes, if the task has any.

    Args:
        task: Of the training.
        shards: As for `previews_of_task`.
    """

    def outline(number: int, picture: Pixels) -> Pixels:
        [example] = examples_to_preview(task, shards, [number])
        return outline_boxes(picture, example.layout.boxes if example.layout else ())

    return outline if isinstance(task, BoxLayout) else without_annotation


def previews_of_task(
    task: Task, shards: LatentShards, encode: Encode, *, guided: bool
) -> MakePreviews:
    """Return what makes previews: of pictures of a split, or of the task's prompts, with their
    options.

    Args:
        task: Of the training.
        shards: Split whose pictures are taken in turn.
        encode: The autoencoder.
        guided: Whether prompts' guidance is followed; a network for few steps has none.
    """

    def make(numbers: range) -> PreviewBatch:
        condition = task.condition(examples_to_preview(task, shards, numbers), encode)
        if not isinstance(task, Text) or not task.prompts:
            return PreviewBatch(condition, numbers)
        count = len(task.prompts)
        prompts = [task.prompts[number % count] for number in numbers]
        seeds = [
            number if prompt.seed is None else prompt.seed + number // count
            for number, prompt in zip(numbers, prompts, strict=True)
        ]
        # Every batch or none is guided: sharded networks are called equally often by all workers.
        if not guided or all(prompt.guidance_scale in (None, 1) for prompt in task.prompts):
            return PreviewBatch(condition, seeds)
        scales = [1.0 if one.guidance_scale is None else one.guidance_scale for one in prompts]
        negative = task.condition_of_texts([prompt.negative or EMPTY for prompt in prompts])
        return PreviewBatch(condition, seeds, torch.tensor(scales), negative)

    return make
