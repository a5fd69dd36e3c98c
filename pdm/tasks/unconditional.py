"""The task of drawing pictures like the data, by no condition."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import NO_CONDITION, Condition
from pdm.tasks.task import Encode, Example, Levels


class Unconditional:
    """See `pdm.tasks.task.Task`."""

    needs_maps: ClassVar = False
    needs_pictures: ClassVar = False

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """No condition."""
        return None

    def check(self, latents: LatentShards) -> None:
        """Any data will do."""

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """No condition."""
        return NO_CONDITION

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """No condition."""
        return condition

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The picture as it was drawn."""
        return drawn

    def facts(self) -> dict[str, Any]:
        """Nothing."""
        return {}
