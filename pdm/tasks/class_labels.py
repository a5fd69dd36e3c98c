"""The task of drawing pictures of a class of the data."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.data.annotations import classes
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.models.condition import Condition, drop_rows
from pdm.tasks.task import Encode, Example, Levels

logger = logging.getLogger(__name__)


class ClassLabels:
    """See `pdm.tasks.task.Task`."""

    needs_maps: ClassVar = False
    needs_pictures: ClassVar = False

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """As many classes as the data have."""
        names = classes.names_of(facts)
        if not names:
            raise BadInput(
                "diffusion.task is class, but no image has a class; sort the images of a "
                "folder source into a folder for each class, or name a class_column, and run from "
                "the stage 'scrape' on; or choose another task, and leave out "
                "diffusion.model.condition"
            )
        return ConditionConfig(num_classes=len(names), token_width=0, map_channels=0)

    def check(self, latents: LatentShards) -> None:
        """Log the number of pictures of each class."""
        counts_text = classes.describe_counts(latents.labels, latents.classes)
        logger.info("diffusion: %s images of the classes %s", latents.split, counts_text)

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """The label of each picture."""
        return Condition(torch.tensor([example.label for example in examples], dtype=torch.int64))

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The empty condition for some pictures."""
        return drop_rows(sizes, condition, dropped)

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The picture as it was drawn."""
        return drawn

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}
