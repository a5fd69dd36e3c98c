"""How far pictures that a model draws while it is being trained are from pictures of its data.

    yardstick = Yardstick(held_out)  # pictures are uint8 (H, W, 3), all of one size
    yardstick.distance(drawn)

It is the Fréchet distance that `evaluate` gives under the same name, with the number of features
and the seed of the default params; its reference is what differs. Compare only distances of as many
pictures from the same reference: few pictures are always far.
"""

import itertools
from collections.abc import Iterable

import numpy as np

from pdm.data.pixels import Pixels, to_images
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.random_conv import RandomConvFeatures

NUM_FEATURES, SEED = 64, 0
BATCH_SIZE = 8


class Yardstick:
    """Distances from one reference; the pictures are read once, a batch at a time.

    Args:
        reference: At least two.
    """

    name = f"frechet_{random_conv.NAME}"

    def __init__(self, reference: Iterable[Pixels]) -> None:
        self._features = RandomConvFeatures(NUM_FEATURES, SEED)
        self._reference = self._moments(reference)

    def distance(self, pictures: Iterable[Pixels]) -> float:
        """Of at least two pictures from the reference."""
        return frechet_distance(self._moments(pictures), self._reference)

    def _moments(self, pictures: Iterable[Pixels]) -> Moments:
        moments: Moments | None = None
        remaining = iter(pictures)
        while batch := list(itertools.islice(remaining, BATCH_SIZE)):
            found = Moments.of(self._features(to_images(np.stack(batch))).numpy())
            moments = found if moments is None else moments.merged(found)
        if moments is None or moments.count < 2:
            count = moments.count if moments else 0
            raise ValueError(f"a distance needs at least 2 pictures; got {count}")
        return moments
