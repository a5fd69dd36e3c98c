"""Guides sampling to an image that is known in part, such as by its reduction, without training.

At each evaluation the data that the network predicts move towards data that agree with what is
known: by a share of the way (as ILVR does with pixels, Choi et al., arXiv:2108.02938, here through
an autoencoder). LDM's image guiding (arXiv:2112.10752, appendix C) lowers the same squared distance
by its gradient through decoder and network. On our models that stayed five times as far from the
known image and took longer: docs/log.md, "Image guiding".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pdm.diffusion.flow import Velocity, by_level
from pdm.models.levels.parameterisation import MIN_TIME_LEFT
from pdm.models.levels.pyramid import Pyramid


@dataclass(frozen=True, slots=True)
class ImageGuide:
    """What sampling is guided to.

    Args:
        correct: Gives the change that makes predicted data (B, C, h, w by level) agree with what is
            known of the images in these rows of the batch; an image's change depends on no
            other's.
        strength: Share of the change that is made at each evaluation, from 0 (none) to 1 (all).
    """

    correct: Callable[[Pyramid, Sequence[int]], Pyramid]
    strength: float

    def push(self, velocity: Velocity, rows: Sequence[int]) -> Velocity:
        """Guide the velocity of some rows of the batch."""
        if self.strength == 0:
            return velocity

        def guided_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
            velocities = velocity(pyramid, t)
            left = [(1 - time).clamp(MIN_TIME_LEFT, 1) for time in by_level(t, len(pyramid))]
            data = tuple(
                x.float() + rest * v.float()
                for x, v, rest in zip(pyramid, velocities, left, strict=True)
            )
            return tuple(
                (v + self.strength * change / rest).to(v.dtype)
                for v, change, rest in zip(velocities, self.correct(data, rows), left, strict=True)
            )

        return guided_velocity
