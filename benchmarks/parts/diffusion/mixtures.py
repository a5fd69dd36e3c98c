"""Pyramids drawn from a mixture of Gaussians, whose velocity is known exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.models.levels.pyramid import LevelShape, Pyramid


@dataclass(frozen=True)
class Mixture:
    """Components of equal weight; the values of a component are independent.

    Args:
        means, stds: For each level (components, C, h, w).
    """

    means: Pyramid
    stds: Pyramid

    @classmethod
    def standardised(cls, shapes: list[LevelShape], components: int, seed: int) -> "Mixture":
        """At random, of mean 0 and standard deviation 1 in every value.

        Within a component a value has a standard deviation of 0.05 to 0.5: most of what differs
        between two pictures is which component they are of, as with real latents.
        """
        generator = torch.Generator().manual_seed(seed)
        means, stds = [], []
        for shape in shapes:
            size = (components, *shape)
            mean = torch.randn(size, generator=generator, dtype=torch.float64)
            std = 0.05 + 0.45 * torch.rand(size, generator=generator, dtype=torch.float64)
            mean = mean - mean.mean(0)
            spread = (mean.square().mean(0) + std.square().mean(0)).sqrt()
            means.append(mean / spread)
            stds.append(std / spread)
        return cls(tuple(means), tuple(stds))

    def drawn(self, count: int, seed: int) -> Pyramid:
        """Data (count, C, h, w)."""
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(self.means[0]), (count,), generator=generator)
        return tuple(
            mean[chosen]
            + std[chosen] * torch.randn(mean[chosen].shape, generator=generator).double()
            for mean, std in zip(self.means, self.stds, strict=True)
        )

    def velocity(self, pyramid: Pyramid, t: Tensor) -> Pyramid:
        """The expected slope at points (B, C, h, w) and times (B,), or (B, levels)."""
        times = t.double().view(len(t), -1).expand(-1, len(pyramid))
        logits, slopes = torch.zeros(len(t), 1, dtype=torch.float64), []
        for index, (mean, std) in enumerate(zip(self.means, self.stds, strict=True)):
            time = times[:, index, None, None, None, None]
            variance = (time * std) ** 2 + (1 - time) ** 2  # (B, components, C, h, w)
            off = pyramid[index].double()[:, None] - time * mean
            logits = logits - (off.square() / variance + variance.log()).sum((2, 3, 4)) / 2
            slopes.append(mean + off * (time * std**2 - (1 - time)) / variance)
        shares = logits.softmax(1)
        return tuple(
            torch.einsum("bk,bkchw->bchw", shares, slope).to(level.dtype)
            for slope, level in zip(slopes, pyramid, strict=True)
        )
