"""The task of filling in a part of a picture.

The network gets the latents of the picture with that part blanked, and where the part is. Masks are
drawn for each picture and epoch anew; those of a user come by `masked_condition`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.config.task import InpaintingTask
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import Condition, drop_rows
from pdm.tasks.partial_pictures.compose import fill_in, soften
from pdm.tasks.partial_pictures.encoded import join_maps, level_maps, level_sizes
from pdm.tasks.partial_pictures.masks import (
    Mask,
    batch_of_masks,
    blank,
    mask_to_levels,
    random_mask,
)
from pdm.tasks.task import Encode, Example, Levels


class Inpainting:
    """See `pdm.tasks.task.Task`."""

    needs_maps: ClassVar = False
    needs_pictures: ClassVar = True

    def __init__(self, config: InpaintingTask) -> None:
        self.config = config

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """The channels of each level, and one more for the mask."""
        return level_sizes(levels, num_extra=1)

    def check(self, latents: LatentShards) -> None:
        """Any pictures will do."""

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """What is left of each picture, and its mask."""
        pictures = [_pixels_of(example) for example in examples]
        masks = [self.mask(example) for example in examples]
        return masked_condition(pictures, masks, encode)

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The empty condition for some pictures."""
        return drop_rows(sizes, condition, dropped)

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The known pixels to the bit, and the drawn ones fitted to them."""
        return fill_in(_pixels_of(example), drawn, soften(self.mask(example), 0))

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def mask(self, example: Example) -> Mask:
        """Draw the mask of an example; the same one every time."""
        height, width, _ = _pixels_of(example).shape
        return random_mask(self.config, height, width, example.generator("mask"))


def masked_condition(
    pictures: Sequence[Pixels], masks: Sequence[Mask], encode: Encode
) -> Condition:
    """Return the condition of pictures to be filled in where their masks are true.

    Args:
        pictures: uint8 (H, W, 3), all of one size; what is below the masks has no effect.
        masks: bool (H, W).
        encode: The autoencoder.
    """
    blanked = [blank(*pair) for pair in zip(pictures, masks, strict=True)]
    maps = level_maps(encode(np.stack(blanked)))
    cells = mask_to_levels(batch_of_masks(masks), [_size(one.shape) for one in maps])
    return Condition(levels=join_maps(maps, cells))


def _size(shape: Sequence[int]) -> tuple[int, int]:
    return shape[2], shape[3]


def _pixels_of(example: Example) -> Pixels:
    assert example.pixels is not None
    return example.pixels
