"""Mean and standard deviation of latents, and whether they are standardised as they should be."""

import torch
from torch import Tensor

from pdm.errors import QualityGate

STD_RANGE = (0.5, 2.0)  # accepted range for a level's standardised latents; 1 is expected


class LatentStatistics:
    """Mean and standard deviation of each level, over all latents added."""

    def __init__(self, num_levels: int) -> None:
        self._sums = torch.zeros(num_levels, 3, dtype=torch.float64)  # count, sum, sum of squares

    def add_sums(self, sums: Tensor) -> None:
        """Include latents by `sums_of` each level, (levels, 3)."""
        self._sums += sums

    def check(self) -> tuple[list[float], list[float]]:
        """Return means and standard deviations, coarse to fine.

        Raises:
            QualityGate: A value is not finite, or a standard deviation is outside `STD_RANGE`.
        """
        means = self._sums[:, 1] / self._sums[:, 0]
        stds = (self._sums[:, 2] / self._sums[:, 0] - means.square()).sqrt()
        low, high = STD_RANGE
        for level, std in enumerate(stds.tolist()):
            if not low <= std <= high:
                raise QualityGate(
                    f"latents of level {level} have a standard deviation of {std:.3g}, but {low} "
                    f"to {high} is expected; train the autoencoder again on these shards"
                )
        return means.tolist(), stds.tolist()
