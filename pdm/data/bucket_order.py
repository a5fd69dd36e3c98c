"""Data order of pictures of several sizes: which images are in which batch of a training run.

A batch has images of one bucket, so all workers get the same shape in a step, and as batches are
those of the whole run, all take the same number of steps. What is at a position depends only on the
seed, the sizes of the buckets, the size of the batch and the position. So neither a resume nor
another number of workers changes it.

Each bucket has its own endless sequence: a new permutation of its images for every epoch. Batches
are cut from these sequences. An epoch has those that are complete once every bucket has had as many
permutations as there were epochs; what is left over in a bucket comes first in the next epoch, and
nothing is dropped. Within an epoch the batches are in random order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pdm.counts import counted
from pdm.data.order import images_at


@dataclass(frozen=True, slots=True)
class BucketOrder:
    """The order of a run.

    With one bucket it is that of `images_at`.

    Args:
        num_images: Of each bucket; at least one.
        batch_size: Images of a batch, over all workers.
        seed: Of the run.
    """

    num_images: tuple[int, ...]
    batch_size: int
    seed: int

    def bucket_at(self, positions: range) -> int:
        """Number of the bucket that the images at these positions belong to.

        Raises:
            ValueError: The positions are not all of one batch.
        """
        bucket, _ = self._place(positions)
        return bucket

    def images_at(self, positions: range) -> NDArray[np.int64]:
        """Numbers of the images at these positions within their bucket.

        Raises:
            ValueError: The positions are not all of one batch.
        """
        bucket, _ = self._place(positions)
        return images_at(self.places_at(positions), self.num_images[bucket], self.seed)

    def places_at(self, positions: range) -> range:
        """Where these positions are in the endless sequence of their bucket.

        Raises:
            ValueError: The positions are not all of one batch.
        """
        if len(self.num_images) == 1:
            return positions
        _, number = self._place(positions)
        start = number * self.batch_size + positions.start % self.batch_size
        return range(start, start + len(positions))

    def batches_before(self, epoch: int) -> int:
        """Number of batches in all epochs before this one, counted from 0."""
        return sum(self._complete(epoch))

    def left_over(self, epoch: int) -> tuple[int, ...]:
        """Images of each bucket that wait for the next epoch at the end of this one."""
        return tuple(count * (epoch + 1) % self.batch_size for count in self.num_images)

    def _place(self, positions: range) -> tuple[int, int]:
        """The bucket of a batch, and its number among all batches of that bucket."""
        if len(self.num_images) == 1:
            return 0, positions.start // self.batch_size
        batch, offset = divmod(positions.start, self.batch_size)
        if offset + len(positions) > self.batch_size:
            raise ValueError(
                f"positions {positions.start} to {positions.stop - 1} are not of one batch of "
                f"{self.batch_size} images"
            )
        epoch = self._epoch_of(batch)
        buckets, numbers = _order_of_batches(self, epoch)
        place = batch - self.batches_before(epoch)
        return int(buckets[place]), int(numbers[place])

    def _epoch_of(self, batch: int) -> int:
        # Never too late, since only complete batches count.
        epoch = batch * self.batch_size // sum(self.num_images)
        while self.batches_before(epoch + 1) <= batch:
            epoch += 1
        return epoch

    def _complete(self, epochs: int) -> list[int]:
        """Complete batches of each bucket in the first epochs."""
        return [count * epochs // self.batch_size for count in self.num_images]

    def numbers_in(self, epoch: int) -> list[range]:
        """The batches of each bucket in an epoch, by their number among all of that bucket."""
        return [
            range(first, stop)
            for first, stop in zip(self._complete(epoch), self._complete(epoch + 1), strict=True)
        ]


def describe_order(order: BucketOrder, names: Sequence[str]) -> str:
    """What an epoch has of each bucket, for the log: no image is left out without a word."""
    parts = []
    lefts, batches = order.left_over(0), order.numbers_in(0)
    for name, count, numbers, left in zip(names, order.num_images, batches, lefts, strict=True):
        parts.append(
            f"{name} {count:,} ({counted(len(numbers), 'batch', 'batches')}, {left:,} left over)"
        )
    return (
        f"images by bucket, with their batches of {order.batch_size} in the first epoch: "
        f"{'; '.join(parts)}. What is left over comes first in the next epoch"
    )


@lru_cache(maxsize=8)
def _order_of_batches(
    order: BucketOrder, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bucket and number of each batch of an epoch, in their order."""
    ranges = order.numbers_in(epoch)
    buckets = np.repeat(np.arange(len(ranges)), [len(numbers) for numbers in ranges])
    # The bucket of each batch is random; a bucket's batches keep their order.
    buckets = np.random.default_rng([order.seed, epoch, len(ranges)]).permutation(buckets)
    numbers = np.empty_like(buckets)
    for bucket, found in enumerate(ranges):
        numbers[buckets == bucket] = np.arange(found.start, found.stop)
    return buckets, numbers
