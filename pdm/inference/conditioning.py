"""The condition of each image of the stage `sample`, by its seed: none, a class, or one made of a
held-out image, such as the part of it that stays.

Prompts are in `pdm.inference.prompts`, and boxes in `pdm.inference.layouts`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput
from pdm.models.condition import NO_CONDITION, Condition
from pdm.tasks.class_labels import ClassLabels
from pdm.tasks.task import Encode, Example, Task, refuse_to_encode


@dataclass(frozen=True, slots=True)
class GuidedCondition:
    """What the images of a batch show, and what guidance steers them away from.

    Args:
        shown: One row for each image.
        negative: In the same form, such as negative prompts; None for the empty condition.
    """

    shown: Condition = NO_CONDITION
    negative: Condition | None = None

    def change(self, change: Callable[[Tensor], Tensor]) -> "GuidedCondition":
        """Change every tensor of both."""
        negative = None if self.negative is None else self.negative.change(change)
        return GuidedCondition(self.shown.change(change), negative)


class Conditioning(Protocol):
    """Gives the condition of each seed's image, which does not depend on its batch."""

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return the condition of the images of these seeds."""

    def origin(self, seed: int) -> dict[str, Any]:
        """Return what an image's provenance says about it."""

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """Return the image to write from the one that was drawn."""


class NoConditioning:
    """For a network without a condition."""

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """No condition."""
        return GuidedCondition()

    def origin(self, seed: int) -> dict[str, Any]:
        """Nothing."""
        return {}

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """The image as it was drawn."""
        return drawn


NO_CONDITIONING = NoConditioning()


@dataclass(frozen=True, slots=True)
class Classes:
    """Pictures cycle through the chosen classes, by their seeds.

    Args:
        chosen: Classes to draw.
        names: All classes of the network, by label.
    """

    chosen: tuple[str, ...]
    names: tuple[str, ...]

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return the labels."""
        labels = [self.names.index(self._class_of(seed)) for seed in seeds]
        examples = [Example("", label=label) for label in labels]
        return GuidedCondition(ClassLabels().condition(examples, refuse_to_encode))

    def origin(self, seed: int) -> dict[str, Any]:
        """Name the class."""
        return {"class": self._class_of(seed)}

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """The image as it was drawn."""
        return drawn

    def _class_of(self, seed: int) -> str:
        return self.chosen[seed % len(self.chosen)]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Each seed takes a held-out image, in turn; of several sizes, one of each in turn.

    Args:
        task: Makes the conditions.
        images: Split `val` of the shards.
        size: (H, W) at which images (of the main size) are encoded.
        encode: The autoencoder.
    """

    task: Task
    images: ImageShards
    size: tuple[int, int]
    encode: Encode

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return what the task makes of the held-out images."""
        examples = [self.example(seed) for seed in seeds]
        return GuidedCondition(self.task.condition(examples, self.encode))

    def origin(self, seed: int) -> dict[str, Any]:
        """Name the held-out image."""
        return {"held_out": self.images.keys[self._index_of(seed)]}

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """Return what the task makes of the drawn image."""
        return self.task.finish(self.example(seed), drawn)

    def size_of(self, seed: int) -> tuple[int, int]:
        """Return the (H, W) of the image of a seed: that of its held-out image."""
        bucket = self.images.bucket_of(self._index_of(seed))
        return self.images.size_in(bucket, *self.size)

    def example(self, seed: int) -> Example:
        """Return the image of a seed; its mask or the like depends on the seed, too."""
        index, task = self._index_of(seed), self.task
        return Example(
            self.images.keys[index],
            epoch=seed // len(self.images),
            pixels=self.images.load(index, *self.size) if task.needs_pictures else None,
            class_map=self.images.class_map(index, *self.size) if task.needs_maps else None,
        )

    def _index_of(self, seed: int) -> int:
        return self.images.in_turn[seed % len(self.images)]


def choose_classes(
    asked: tuple[str, ...] | None, known: tuple[str, ...], folder: object
) -> tuple[str, ...]:
    """Choose the classes to draw: those asked for, or all that the network knows.

    Raises:
        BadInput: One that was asked for is unknown.
    """
    for name in asked or ():
        if not known:
            raise BadInput(f"sample.classes: {folder} has no classes; set it to null")
        if name not in known:
            listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise BadInput(f"sample.classes: {folder} has no class '{name}'; it has {listed}")
    return asked or known
