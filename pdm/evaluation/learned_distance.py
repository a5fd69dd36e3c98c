"""The kernel distance of two sets of pictures by a network whose weights a package ships.

It is the kernel distance of the same name in `evaluate`: unbiased, so few pictures are enough.
Use it as `pdm.evaluation.reference_distance.ReferenceDistance`.
"""

from collections.abc import Iterable

import numpy as np

from pdm.data.pixels import Pixels
from pdm.evaluation.distances.kernel import kernel_distance
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.packaged import PackagedFeatures


class LearnedDistance:
    """Distances between sets of pictures, by their features.

    Args:
        network: Its name, such as efficientnet-lite1.

    Raises:
        Unavailable: The package is not installed.
    """

    def __init__(self, network: str) -> None:
        self._network = PackagedFeatures(network)
        self.name = f"kernel_{self._network.name}"

    def features(self, pictures: Iterable[Pixels]) -> Array:
        """Compute the features of pictures (H, W, 3), (N, 1280)."""
        return np.concatenate([self._network.of_whole(picture[None]) for picture in pictures])

    def distance(self, features: Array, reference: Array) -> float:
        """Compute the distance of two sets of at least two pictures, from features of each."""
        return kernel_distance(features, reference).value
