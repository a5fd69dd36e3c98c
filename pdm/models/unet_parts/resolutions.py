"""The resolutions of the pyramid UNet's trunk, and the levels of the pyramid at them."""

import torch
from torch import Tensor

from pdm.config.networks.unet import UNetConfig
from pdm.models.levels.pyramid import Downsampling, Pyramid
from pdm.models.unet_parts.stages import StageSpec


class Resolutions:
    """The trunk's resolutions by index, finest first. Levels have numbers, coarse to fine.

    Args:
        count: Number of resolutions.
        downsamplings: Of the levels, coarse to fine; "global" may be the first.

    Attributes:
        factors: Downsampling of each resolution.

    Raises:
        ValueError: The levels do not fit as many resolutions.
    """

    def __init__(self, count: int, downsamplings: tuple[Downsampling, ...]) -> None:
        finest = int(downsamplings[-1])
        self.factors = tuple(finest * 2**index for index in range(count))
        self._levels = {factor: level for level, factor in enumerate(downsamplings)}
        maps = [factor for factor in downsamplings if factor != "global"]
        if len(maps) > 1 and self.factors[-1] != maps[0]:
            raise ValueError(
                f"levels {downsamplings} do not fit {count} widths: expected one width "
                f"for each downsampling from {finest} to {maps[0]}"
            )

    def __len__(self) -> int:
        return len(self.factors)

    def level_at(self, index: int) -> int | None:
        """Return the number of the level at a resolution, if there is one."""
        return self._levels.get(self.factors[index])

    def latent_at(self, index: int, pyramid: Pyramid) -> Tensor | None:
        """Return the latent at a resolution, if there is one."""
        level = self.level_at(index)
        return None if level is None else pyramid[level]

    def levels_until(self, index: int) -> list[int]:
        """List the levels that are finer than a resolution, finest first."""
        return [self._levels[factor] for factor in self.factors[:index] if factor in self._levels]

    def finest_needed(self, t: Tensor) -> int:
        """Return the finest resolution with a level that some image has begun.

        Args:
            t: (B, levels), below 0 where a level has not begun.
        """
        begun = (t >= 0).any(dim=0).tolist()
        levels = [(index, self._levels.get(factor)) for index, factor in enumerate(self.factors)]
        holding = [(index, level) for index, level in levels if level is not None]
        needed = (index for index, level in holding if begun[level])
        return min(needed, default=holding[-1][0])

    def has_begun(self, index: int, t: Tensor) -> Tensor:
        """Return (B, 1, 1, 1): whether the level at a resolution or a finer one has begun.

        Args:
            index: Of the resolution.
            t: (B, levels).
        """
        begun = torch.stack([t[:, level] >= 0 for level in self.levels_until(index + 1)])
        return begun.any(dim=0).view(-1, 1, 1, 1)


def stage_specs(
    config: UNetConfig,
    factors: tuple[int, ...],
    channels: dict[Downsampling, int],
    condition_channels: dict[Downsampling, int],
) -> list[StageSpec]:
    """Say what each stage is built for, finest first.

    Args:
        config: Of the network.
        factors: Downsampling of each resolution.
        channels: Of the levels, by their downsampling.
        condition_channels: Of the condition's maps, by the downsampling of their level.
    """
    return [
        StageSpec(
            index,
            self_attention=factor >= config.attention_from,
            cross_attention=factor >= config.tokens_from,
            level_channels=channels.get(factor),
            finer_channels=sum(channels.get(finer, 0) for finer in factors[:index]),
            coarser_channels=next(
                (channels[coarser] for coarser in factors[index + 1 :] if coarser in channels), None
            ),
            condition_channels=condition_channels.get(factor, 0),
        )
        for index, factor in enumerate(factors)
    ]


def condition_channels_of(
    config: UNetConfig, downsamplings: tuple[Downsampling, ...]
) -> dict[Downsampling, int]:
    """Return the channels of the condition's map for each level, by its downsampling."""
    counts = config.condition.level_channels if config.condition else ()
    if not counts:
        return {}
    if not config.branches:
        return {downsamplings[-1]: sum(counts)}
    maps = [factor for factor in downsamplings if factor != "global"]
    return dict(zip(maps, counts, strict=True))
