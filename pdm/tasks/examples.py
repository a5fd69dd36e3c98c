"""Examples of the pictures of a training, for the task to make conditions of."""

import dataclasses
from collections.abc import Sequence

from pdm.data.shards.latents import LatentShards
from pdm.tasks.task import Example, Task
from pdm.tasks.text import Text


def examples_at(
    task: Task, shards: LatentShards, positions: range, indices: Sequence[int], seed: int
) -> list[Example]:
    """Return the pictures at some positions of a training, with what the task reads of them.

    Args:
        task: Decides what is read.
        shards: Latents of the split.
        positions: In the run; the epoch follows from them.
        indices: Numbers of the pictures in the split.
        seed: Of the run.
    """
    return [
        Example(
            shards.keys[index],
            position // len(shards),
            seed,
            int(shards.labels[index]),
            shards.picture(index) if task.needs_pictures else None,
            _captions(task, shards, index),
            shards.class_map(index) if task.needs_maps else None,
            shards.layouts[index],
        )
        for position, index in zip(positions, indices, strict=True)
    ]


def _captions(task: Task, shards: LatentShards, index: int) -> tuple[str, ...]:
    """Held-out pictures show their captions unchanged, so that losses can be compared."""
    captions = shards.captions[index]
    if isinstance(task, Text) and shards.split == "train":
        return task.captions_in_training(captions)
    return captions


def examples_of_seeds(task: Task, shards: LatentShards, seeds: Sequence[int]) -> list[Example]:
    """Return a picture of the split for each seed, in turn; a task of classes takes turns with
    those.

    The same seed gives the same example at every checkpoint.
    """
    num_classes = len(shards.classes)
    examples = []
    for seed in seeds:
        index = seed % len(shards)
        label = seed % num_classes if num_classes else 0
        pixels = shards.picture(index) if task.needs_pictures else None
        class_map = shards.class_map(index) if task.needs_maps else None
        key, epoch, captions = shards.keys[index], seed // len(shards), shards.captions[index]
        layout = shards.layouts[index]
        examples.append(Example(key, epoch, 0, label, pixels, captions, class_map, layout))
    return examples


def examples_to_preview(task: Task, shards: LatentShards, seeds: Sequence[int]) -> list[Example]:
    """Return what the samples drawn during a training show: as `examples_of_seeds`, but a task of
    text takes turns with its prompts, if it has any.

    Nothing may be trained on these.
    """
    examples = examples_of_seeds(task, shards, seeds)
    if not isinstance(task, Text) or not task.prompts:
        return examples
    prompts = [task.prompts[seed % len(task.prompts)] for seed in seeds]
    return [
        dataclasses.replace(example, captions=(prompt.text,))
        for example, prompt in zip(examples, prompts, strict=True)
    ]
