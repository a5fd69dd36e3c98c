"""Randomness that depends only on the seed and the global position of an image.

So a resumed run draws the same numbers as an uninterrupted one, and the numbers of an image do not
depend on the number of workers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.seeds import seed_at


def generator_at(seed: int, position: int, purpose: str) -> torch.Generator:
    """Make a CPU generator with that seed; its numbers do not depend on the training device."""
    return torch.Generator().manual_seed(seed_at(seed, position, purpose))


def normal_pyramid_at(
    seed: int, positions: range, purpose: str, shapes: Sequence[LevelShape]
) -> Pyramid:
    """Draw standard normal levels (len(positions), C, h, w); a row depends only on its position."""
    rows = []
    for position in positions:
        generator = generator_at(seed, position, purpose)
        rows.append([torch.randn(shape, generator=generator) for shape in shapes])
    return tuple(torch.stack(level) for level in zip(*rows, strict=True))


def uniform_at(seed: int, positions: range, purpose: str) -> Tensor:
    """Draw a number in [0, 1) for each position, on the CPU."""
    return torch.stack(
        [torch.rand((), generator=generator_at(seed, position, purpose)) for position in positions]
    )
