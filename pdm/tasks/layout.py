"""The task of drawing a picture from boxes with classes: what stands where.

A picture without boxes, and one whose condition is dropped, shows the network its crop only.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.config.task import LayoutTask
from pdm.counts import counted
from pdm.data.annotations.boxes import FACT, Layout, names_of, typical_crop
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.models.condition import Condition, choose_rows
from pdm.tasks.layout_tokens import PER_BOX, layout_condition
from pdm.tasks.task import Encode, Example, Levels

logger = logging.getLogger(__name__)

NO_BOXES = (
    "put NAME.boxes.json beside the images of a folder, or name COCO's file by boxes: FILE, name "
    "a boxes_column of a list, or set boxes: true for built-in landscapes, in scrape.sources, and "
    "run from the stage 'scrape' on"
)


class BoxLayout:
    """See `pdm.tasks.task.Task`.

    Args:
        config: Number of boxes, and the transformer that reads them.
        facts: Of the latents' manifest or the model, with the names of the classes.
    """

    needs_pictures: ClassVar = False
    needs_maps: ClassVar = False

    def __init__(self, config: LayoutTask, facts: Mapping[str, Any]) -> None:
        self.config, self.names, self.crop = config, names_of(facts), typical_crop(facts)

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """Tokens of the transformer's width."""
        names, most = names_of(facts), self.config.vocabulary_size
        if not names:
            raise BadInput(f"diffusion.task is layout, but no image has a box; {NO_BOXES}")
        if len(names) > most:
            raise BadInput(
                f"the boxes of the data have {len(names):,} classes, but "
                f"diffusion.task.vocabulary_size is {most:,}; raise it to at least as many"
            )
        transformer = self.config.transformer
        return ConditionConfig(
            num_classes=0, token_width=transformer.width, map_channels=0, text=transformer
        )

    def check(self, latents: LatentShards) -> None:
        """Log how many boxes of each class there are, and how many are left out.

        Raises:
            BadInput: There is none.
        """
        layouts, most = latents.layouts, self.config.max_boxes
        counts = Counter(box.class_name for layout in layouts for box in layout.boxes)
        if not counts:
            raise BadInput(
                f"diffusion.task is layout, but no image of the split {latents.split} has a box; "
                f"{NO_BOXES}"
            )
        logger.info(
            "diffusion: %d of %d images of %s have boxes: %s",
            sum(bool(layout.boxes) for layout in layouts),
            len(layouts),
            latents.split,
            ", ".join(f"{name} {count:,}" for name, count in counts.most_common()),
        )
        too_many = [len(one.boxes) - most for one in layouts if len(one.boxes) > most]
        if too_many:
            logger.warning(
                "diffusion: %s with more than %d boxes; the smallest of each, %d in all, "
                "are left out; raise diffusion.task.max_boxes to keep them",
                *(counted(len(too_many), "image"), most, sum(too_many)),
            )

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """The tokens of each picture's boxes."""
        return self.condition_of_layouts([example.layout or Layout() for example in examples])

    def condition_of_layouts(self, layouts: Sequence[Layout]) -> Condition:
        """The tokens of some layouts."""
        config = self.config
        return layout_condition(layouts, self.names, config.max_boxes, config.vocabulary_size)

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The crop alone for the pictures that `dropped` (B,) names."""
        return choose_rows(dropped, without_boxes(condition), condition)

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The picture as it was drawn."""
        return drawn

    def facts(self) -> dict[str, Any]:
        """The names of the classes and the typical crop, for the model's `config.json`."""
        return {FACT: {"classes": self.names, "crop": self.crop}}


def without_boxes(condition: Condition) -> Condition:
    """The condition of layouts of the same crops, without boxes."""
    tokens, mask = condition.tokens, condition.mask
    assert tokens is not None
    assert mask is not None
    num_boxes = (tokens.shape[1] - 2) // PER_BOX
    tokens, mask = tokens.clone(), mask.clone()
    tokens[:, : PER_BOX * num_boxes] = 0
    mask[:, : PER_BOX * num_boxes] = False
    return Condition(tokens=tokens, mask=mask)
