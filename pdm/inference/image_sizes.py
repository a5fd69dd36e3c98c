"""The sizes that a diffusion model was trained at, and which of them each sample has.

A model of many aspect ratios draws its sizes in turn: first one image of every class, prompt or
layout at the first size, then at the second. An image that is drawn from a held-out one has its
size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdm.data.shards.buckets import FACT
from pdm.inference.conditioning import Classes, Conditioning, HeldOut
from pdm.inference.layouts import Layouts
from pdm.inference.prompts import Prompts
from pdm.inference.trained_size import size_of
from pdm.models.levels.pyramid import LevelShape


@dataclass(frozen=True, slots=True)
class ImageSize:
    """What depends on the size of an image.

    Args:
        size: (H, W) in pixels.
        shapes: (C, h, w) of the levels.
        is_trained: Whether the model was trained on images of this size, or only tested.
    """

    size: tuple[int, int]
    shapes: tuple[LevelShape, ...]
    is_trained: bool = True


def sizes_of(record: Mapping[str, Any]) -> tuple[ImageSize, ...]:
    """The sizes of a model's data; one, unless it knows many aspect ratios."""
    if FACT not in record:
        return (ImageSize(size_of(record), _shapes(record)),)
    return tuple(
        ImageSize(
            (entry["height_px"], entry["width_px"]),
            _shapes(entry),
            is_trained=entry["num_samples"]["train"] > 0,
        )
        for entry in record[FACT]
    )


@dataclass(frozen=True, slots=True)
class SizesInTurn:
    """Chooses the size of each image of the stage `sample`, by its number.

    Args:
        sizes: Of the model.
        conditioning: What the images show.
        first_seed: Seed of the image with number 0.
    """

    sizes: Sequence[ImageSize]
    conditioning: Conditioning
    first_seed: int

    def size_of(self, number: int) -> ImageSize:
        """The size of an image; it does not depend on the image's batch."""
        if isinstance(self.conditioning, HeldOut):
            size = self.conditioning.size_of(self.first_seed + number)
            return next(one for one in self.sizes if one.size == size)
        trained = [one for one in self.sizes if one.is_trained]
        return trained[number // self._num_conditions % len(trained)]

    def groups(self, numbers: Sequence[int]) -> dict[ImageSize, list[int]]:
        """Split a batch by size: only images of one size are drawn together."""
        found: dict[ImageSize, list[int]] = {}
        for number in numbers:
            found.setdefault(self.size_of(number), []).append(number)
        return found

    @property
    def _num_conditions(self) -> int:
        """Number of images in which every class, prompt or layout was drawn once, so that each of
        them is drawn at every size."""
        if isinstance(self.conditioning, Classes):
            return len(self.conditioning.chosen)
        if isinstance(self.conditioning, Layouts):
            return len(self.conditioning.layouts)
        return len(self.conditioning.prompts) if isinstance(self.conditioning, Prompts) else 1


def _shapes(entry: Mapping[str, Any]) -> tuple[LevelShape, ...]:
    return tuple((c, h, w) for c, h, w in entry["level_shapes"])
