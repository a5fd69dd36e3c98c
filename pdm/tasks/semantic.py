"""The task of drawing a picture from a semantic map: where is sky, water, land, ...

The network gets the share of each class in every cell; an unknown part has no class at all.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pdm.config.networks.condition import ConditionConfig
from pdm.counts import counted
from pdm.data.annotations.maps import FACT, UNKNOWN, ClassMap, names_of
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.models.condition import Condition, drop_rows
from pdm.tasks.task import Encode, Example, Levels

logger = logging.getLogger(__name__)

REDUCTION = 4  # of maps, by means, before the network averages them to its levels
COUNTED = 256  # maps of a split that are looked at, for the log


class Semantic:
    """See `pdm.tasks.task.Task`.

    Args:
        facts: Of the latents' manifest or the model, with the names of the classes.
    """

    needs_pictures: ClassVar = False
    needs_maps: ClassVar = True

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.names = names_of(facts)

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """A channel for each class of the maps."""
        names = names_of(facts)
        if not names:
            raise BadInput(
                "diffusion.task is semantic, but the data have no maps; name a folder of maps, or "
                "maps: true for built-in landscapes, in scrape.sources, and run from the stage "
                "'scrape' on"
            )
        return ConditionConfig(num_classes=0, token_width=0, map_channels=len(names))

    def check(self, latents: LatentShards) -> None:
        """Log the share of each class."""
        count = min(len(latents), COUNTED)
        found = np.zeros(UNKNOWN + 1, np.int64)
        for index in range(count):
            found += np.bincount(latents.class_map(index).ravel(), minlength=UNKNOWN + 1)
        shares = dict(
            zip((*self.names, "unknown"), [*found[: len(self.names)], found[UNKNOWN]], strict=True)
        )
        text = ", ".join(f"{name} {share / found.sum():.1%}" for name, share in shares.items())
        logger.info("diffusion: maps of %s: %s", counted(count, f"{latents.split} image"), text)
        if found[UNKNOWN] == found.sum():
            raise BadInput(
                f"diffusion.task is semantic, but the first {counted(count, 'map')} "
                "have only unknown pixels; check the names of the files of scrape.sources' maps"
            )

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """The shares of the classes, at a quarter of the size."""
        return map_condition([_map_of(example) for example in examples], len(self.names))

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """The picture as it was drawn."""
        return drawn

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """The empty condition for some pictures."""
        return drop_rows(sizes, condition, dropped)

    def facts(self) -> dict[str, Any]:
        """The names of the classes, for the model's `config.json`."""
        return {FACT: self.names}


def map_condition(maps: Sequence[ClassMap], num_classes: int) -> Condition:
    """Return the condition of maps (H, W), all of one size.

    Returns:
        (B, num_classes, H / 4, W / 4) in [0, 1], with sides rounded up.
    """
    height, width = (-(-side // REDUCTION) for side in maps[0].shape)
    shares = torch.zeros(len(maps), num_classes, height, width)
    for planes, indices in zip(shares, maps, strict=True):
        _fill_shares(planes, indices)
    return Condition(map=shares)


def _fill_shares(planes: Tensor, indices: ClassMap) -> None:
    """Write the share of each class (C, h, w); zeros are there. One class of the map after the
    other: all at once would take five bytes a pixel for every class that there is."""
    whole = torch.from_numpy(indices)
    for label in np.flatnonzero(np.bincount(indices.ravel())):
        if label < len(planes):
            plane = (whole == int(label)).float()[None]
            planes[label] = F.avg_pool2d(plane, REDUCTION, ceil_mode=True)[0]


def _map_of(example: Example) -> ClassMap:
    assert example.class_map is not None
    return example.class_map
