"""The task of enlarging a picture by a factor.

The network gets the latents of the small picture after a bicubic enlargement. Pairs are made from
the pictures of the data, for each picture and epoch anew where chance has a part in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.data.shards.buckets import has_buckets
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.models.condition import Condition, drop_rows
from pdm.tasks.partial_pictures.degradation import back_project, degrade, enlarge
from pdm.tasks.partial_pictures.encoded import level_maps, level_sizes
from pdm.tasks.task import Encode, Example, Levels


class SuperResolution:
    """See `pdm.tasks.task.Task`."""

    needs_maps: ClassVar = False
    needs_pictures: ClassVar = True

    def __init__(self, config: SuperResolutionTask) -> None:
        self.config = config

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """The channels of each level."""
        return level_sizes(levels, num_extra=0)

    def check(self, latents: LatentShards) -> None:
        """The pictures' sides must be multiples of the factor."""
        facts, factor = latents.manifest.facts, self.config.factor
        sizes = [(facts["image_width_px"], facts["image_height_px"])]
        if has_buckets(facts):
            sizes = [bucket.size for bucket in latents.buckets]
        for width, height in sizes:
            if width % factor or height % factor:
                raise BadInput(
                    f"diffusion.task.factor is {factor}, but the latents have images of "
                    f"{width}x{height}; both sides must be multiples of it"
                )

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """What is left of each picture when it is reduced."""
        return enlarged_condition([self.reduce(each) for each in examples], self.config, encode)

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The drawn picture with the colours of the small one."""
        return back_project(drawn, self.reduce(example))

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The empty condition for some pictures."""
        return drop_rows(sizes, condition, dropped)

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def reduce(self, example: Example) -> Pixels:
        """Return the small picture of an example; the same one every time."""
        assert example.pixels is not None
        return degrade(example.pixels, self.config, example.generator("degradation"))


def enlarged_condition(
    small: Sequence[Pixels], config: SuperResolutionTask, encode: Encode
) -> Condition:
    """Return the condition of small pictures, uint8 (H, W, 3), all of one size."""
    height, width = (side * config.factor for side in small[0].shape[:2])
    large = np.stack([enlarge(picture, height, width) for picture in small])
    return Condition(levels=tuple(level_maps(encode(large))))
