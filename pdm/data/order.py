"""Data order: which image is at which position of a training run.

A run reads one endless sequence of images: a new permutation of the data set for every epoch. The
image at position p depends only on the seed, the size of the data set and p. So neither a resume
nor another number of workers changes the training data or their order.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def images_at(positions: range, num_images: int, seed: int) -> NDArray[np.int64]:
    """Indices into the data set of the images at the given positions.

    Args:
        positions: Global positions, counted from 0 over all workers. They may span epochs.
        num_images: Size of the data set.
        seed: Of the run.
    """
    epochs, offsets = np.divmod(np.asarray(positions, dtype=np.int64), num_images)
    indices = np.empty(len(positions), dtype=np.int64)
    for epoch in np.unique(epochs):
        in_epoch = epochs == epoch
        indices[in_epoch] = _permutation(int(epoch), num_images, seed)[offsets[in_epoch]]
    return indices


def share(batch: range, part: int, num_parts: int) -> range:
    """Part number `part` of a batch split into `num_parts` contiguous parts of equal size.

    Splits a batch among workers, and a worker's share into accumulation steps.

    Raises:
        ValueError: The batch cannot be divided evenly.
    """
    size, remainder = divmod(len(batch), num_parts)
    if remainder:
        raise ValueError(f"a batch of {len(batch)} images cannot be split into {num_parts} parts")
    return batch[part * size : (part + 1) * size]


@lru_cache(maxsize=4)
def _permutation(epoch: int, num_images: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(num_images)
