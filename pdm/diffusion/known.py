"""Filling in with a network that knows no masks: what is known stays on its own path.

At each evaluation the known part of the noisy latents is that of the known picture with the same
noise (LDM's mask blending, `ddim.py`; Lugmayr et al., arXiv:2201.09865, without going back in
time). Our paths are straight, so any sampler carries the known part exactly to its data.
"""

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity, interpolate, target
from pdm.models.levels.pyramid import Pyramid


def hold_known(velocity: Velocity, data: Pyramid, noise: Pyramid, known: Pyramid) -> Velocity:
    """Hold known cells on the path from the noise to the data.

    Args:
        velocity: Of the whole picture.
        data: Latents of the known picture; unknown cells have no effect.
        noise: What sampling starts from.
        known: True where a cell is known, (B, 1, h, w) for each level.
    """
    path = target(data, noise)

    def held_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        true = interpolate(data, noise, t)
        return _choose(known, path, velocity(_choose(known, true, pyramid), t))

    return held_velocity


def _choose(known: Pyramid, one: Pyramid, other: Pyramid) -> Pyramid:
    return tuple(
        torch.where(cell, a.to(b.dtype), b) for cell, a, b in zip(known, one, other, strict=True)
    )
