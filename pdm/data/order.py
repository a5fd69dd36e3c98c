"""Which image stands at which position of a training run.

A run is one endless sequence of images: every epoch a new permutation of the data set. Position p
of that sequence depends on the seed, the size of the data set and p alone, so that neither a resume
nor another number of workers changes what is trained on, and in which order.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def images_at(positions: range, num_images: int, seed: int) -> NDArray[np.int64]:
    """Indices into the data set of the images at these positions of the run.

    Args:
        positions: Global positions, counted from 0 over all workers. They may cross the end of an
            epoch.
        num_images: Size of the data set.
        seed: Of the run.
    """
    epochs, places = np.divmod(np.asarray(positions, dtype=np.int64), num_images)
    indices = np.empty(len(positions), dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = _permutation(int(epoch), num_images, seed)[places[here]]
    return indices


def share(batch: range, part: int, num_parts: int) -> range:
    """The contiguous part number `part` of a batch; the parts cover it without repeat or gap.

    Used for the workers' shares and, within one, for the accumulations.

    Raises:
        ValueError: The batch cannot be divided evenly.
    """
    size, rest = divmod(len(batch), num_parts)
    if rest:
        raise ValueError(f"a batch of {len(batch)} images cannot be shared among {num_parts}")
    return batch[part * size : (part + 1) * size]


@lru_cache(maxsize=4)
def _permutation(epoch: int, num_images: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(num_images)
