"""The distance of samples from a reference set, for scores during training.

    reference = ReferenceDistance(held_out)  # uint8 (H, W, 3), all of one size
    reference.distance(samples)

It is the Fréchet distance of the same name in `evaluate`, with the number of features and the seed
of the default params; only the reference differs. It is biased upwards for few pictures, so compare
only distances of equally many pictures from the same reference.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from pdm.data.pixels import Pixels, to_images
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.batch import pictures_at_once
from pdm.evaluation.features.random_conv import RandomConvFeatures

NUM_FEATURES, SEED = 64, 0
BATCH_SIZE = 8  # less for large pictures
MIN_PICTURES = 2  # one picture has no variance


class ReferenceDistance:
    """Distances from one reference set.

    Args:
        reference: At least two pictures, read once, in small batches.

    Raises:
        ValueError: There are fewer than two.
    """

    name = f"frechet_{random_conv.NAME}"

    def __init__(self, reference: Iterable[Pixels]) -> None:
        self._features = RandomConvFeatures(NUM_FEATURES, SEED)
        self._reference = self._moments(reference)

    def distance(self, pictures: Iterable[Pixels]) -> float:
        """Compute the distance of at least two pictures from the reference.

        Raises:
            ValueError: There are fewer than two.
        """
        return frechet_distance(self._moments(pictures), self._reference)

    def _moments(self, pictures: Iterable[Pixels]) -> Moments:
        moments = ExactMoments(NUM_FEATURES)
        remaining = iter(pictures)
        count = 1
        while batch := list(itertools.islice(remaining, count)):
            moments.add(self._features(to_images(np.stack(batch))).numpy())
            count = pictures_at_once(BATCH_SIZE, batch[0].shape)
        if moments.count < MIN_PICTURES:
            raise ValueError(
                f"a distance needs at least {MIN_PICTURES} pictures; got {moments.count}"
            )
        return moments.moments()
