"""The distance of samples from a reference set, for scores during training.

    measure = ReferenceDistance()
    reference = measure.features(held_out)  # uint8 (H, W, 3), all of one size
    measure.distance(measure.features(samples), reference)

Features of a picture do not depend on the others, so several workers can share a set.
It is the Fréchet distance of the same name in `evaluate`, with the number of features and the seed
of the default params; only the reference differs. It is biased upwards for few pictures, so compare
only distances of equally many pictures from the same reference.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.batch import pictures_at_once
from pdm.evaluation.features.random_conv import RandomConvFeatures

NUM_FEATURES, SEED = 64, 0
BATCH_SIZE = 8  # less for large pictures
MIN_PICTURES = 2  # one picture has no variance


class ReferenceDistance:
    """Distances between sets of pictures, by their features."""

    name = f"frechet_{random_conv.NAME}"

    def __init__(self) -> None:
        self._network = RandomConvFeatures(NUM_FEATURES, SEED)

    def features(self, pictures: Iterable[Pixels]) -> Array:
        """Compute the features of pictures, (N, D); they are read once, in small batches."""
        features = [np.empty((0, NUM_FEATURES))]
        remaining = iter(pictures)
        count = 1
        while batch := list(itertools.islice(remaining, count)):
            features.append(self._network(to_images(np.stack(batch))).numpy())
            count = pictures_at_once(BATCH_SIZE, batch[0].shape)
        return np.concatenate(features)

    def distance(self, features: Array, reference: Array) -> float:
        """Compute the distance of two sets of at least two pictures, from features (N, D) of each.

        Raises:
            ValueError: A set has fewer than two.
        """
        return frechet_distance(_moments(features), _moments(reference))


def _moments(features: Array) -> Moments:
    if len(features) < MIN_PICTURES:
        raise ValueError(f"a distance needs at least {MIN_PICTURES} images; got {len(features)}")
    moments = ExactMoments(NUM_FEATURES)
    moments.add(features)
    return moments.moments()
