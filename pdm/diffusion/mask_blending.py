"""Mask blending: inpainting by a network that was not trained for it.

At each evaluation the network sees the known cells of the noisy latents as those of the known
image with the same noise (as in LDM's `ddim.py`; Lugmayr et al., arXiv:2201.09865, without going
back in time). The velocity of known cells leads from where they are to the data in the time that is
left, so any sampler carries them there exactly, even one that adds fresh noise.
"""

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity, by_level, interpolate, target
from pdm.models.levels.pyramid import Pyramid

# At later times a level has arrived, and rounding errors over the time left would grow.
LAST_TIME = 1 - 1e-4


def keep_known_cells(velocity: Velocity, data: Pyramid, noise: Pyramid, known: Pyramid) -> Velocity:
    """Move known cells to their data, and all others by the network's velocity.

    Args:
        velocity: Of the whole image.
        data: Latents of the known image; unknown cells have no effect.
        noise: What sampling starts from.
        known: True where a cell is known, (B, 1, h, w) for each level.
    """
    path = target(data, noise)

    def held_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        true = interpolate(data, noise, t)
        held = _velocity_to(data, pyramid, t, path)
        return _choose(known, held, velocity(_choose(known, true, pyramid), t))

    return held_velocity


def _velocity_to(data: Pyramid, pyramid: Pyramid, t: Tensor, path: Pyramid) -> Pyramid:
    """Return the velocity from points at times t to the data; that of the path where the time is
    up.

    On the path both are the same, (data - x) / (1 - t).
    """
    return tuple(
        torch.where(time < LAST_TIME, (end - x) / (1 - time.clamp(0, LAST_TIME)), along)
        for end, x, time, along in zip(data, pyramid, by_level(t, len(data)), path, strict=True)
    )


def _choose(known: Pyramid, one: Pyramid, other: Pyramid) -> Pyramid:
    return tuple(
        torch.where(cell, a.to(b.dtype), b) for cell, a, b in zip(known, one, other, strict=True)
    )
