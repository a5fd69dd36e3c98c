"""Conditions by level: the latents of a picture that is known in part, beside the noisy ones."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.models.levels.pyramid import Pyramid
from pdm.tasks.task import Levels


def level_sizes(levels: Levels, num_extra: int) -> ConditionConfig:
    """Return the sizes of a condition of encoded pictures with `num_extra` maps beside each
    level."""
    counts = list(levels.channels)
    if levels.downsamplings[0] == "global":
        first, *counts = counts
        counts[0] += first
    channels = tuple(count + num_extra for count in counts)
    return ConditionConfig(num_classes=0, token_width=0, map_channels=0, level_channels=channels)


def level_maps(latents: Pyramid) -> list[Tensor]:
    """Return a map for each level of encoded pictures; the global level joins the coarsest map."""
    maps = list(latents)
    if maps[0].shape[2:] == (1, 1) and len(maps) > 1:
        whole, coarsest, *finer = maps
        spread = whole.expand(-1, -1, *coarsest.shape[2:])
        maps = [torch.cat([spread, coarsest], dim=1), *finer]
    return maps


def join_maps(maps: Sequence[Tensor], extra: Sequence[Tensor]) -> Pyramid:
    """Put further maps (B, C, h, w) beside those of each level, on their device."""
    return tuple(
        torch.cat([one, other.to(one.device, one.dtype)], dim=1)
        for one, other in zip(maps, extra, strict=True)
    )
