"""Randomness that follows from the seed and the global position of an image, and nothing else.

So a resumed run draws what the unbroken one would have drawn, and any number of workers draws the
same numbers for the same image.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.models.pyramid import LevelShape, Pyramid


def seed_at(seed: int, position: int, purpose: str) -> int:
    """A 63-bit seed for one purpose at one position of a run; neighbours are unrelated."""
    text = f"{seed}/{position}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def generator_at(seed: int, position: int, purpose: str) -> torch.Generator:
    """A CPU generator so seeded; the CPU's numbers are the same whatever device trains."""
    return torch.Generator().manual_seed(seed_at(seed, position, purpose))


def normal_pyramid_at(
    seed: int, positions: range, purpose: str, shapes: Sequence[LevelShape]
) -> Pyramid:
    """Standard normal levels (len(positions), C, h, w); a row depends on its position alone."""
    rows = []
    for position in positions:
        generator = generator_at(seed, position, purpose)
        rows.append([torch.randn(shape, generator=generator) for shape in shapes])
    return tuple(torch.stack(level) for level in zip(*rows, strict=True))


def uniform_at(seed: int, positions: range, purpose: str) -> Tensor:
    """Numbers in [0, 1), one for each position, on the CPU."""
    return torch.stack(
        [torch.rand((), generator=generator_at(seed, position, purpose)) for position in positions]
    )
