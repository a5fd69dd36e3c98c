"""The order of pictures of several sizes, and the bugs of public trainers that it must not have."""

import itertools

import numpy as np
import pytest

from pdm.data.bucket_order import BucketOrder, describe_order
from pdm.data.order import images_at, share

COUNTS, BATCH = (23, 5, 40, 1), 8  # buckets; some are smaller than a batch
ORDER = BucketOrder(COUNTS, BATCH, seed=3)


def batch(order, number):
    positions = range(number * order.batch_size, (number + 1) * order.batch_size)
    return order.bucket_at(positions), order.images_at(positions).tolist()


def images_of_batches(order, bucket, num_batches):
    found = [batch(order, number) for number in range(num_batches)]
    return [image for of, images in found for image in images if of == bucket]


def test_one_bucket_has_the_order_of_a_single_size():
    order = BucketOrder((23,), 8, seed=5)
    for start in range(0, 400, 8):
        positions = range(start, start + 8)
        assert order.bucket_at(positions) == 0
        assert np.array_equal(order.images_at(positions), images_at(positions, 23, 5))


# NovelAI/novelai-aspect-ratio-bucketing#3: workers had different shapes in one step.
@pytest.mark.parametrize("num_workers", [1, 2, 4, 8])
def test_all_workers_have_the_same_bucket_in_a_step(num_workers):
    for number in range(200):
        whole = range(number * BATCH, (number + 1) * BATCH)
        shares = [share(whole, rank, num_workers) for rank in range(num_workers)]
        assert {ORDER.bucket_at(part) for part in shares} == {ORDER.bucket_at(whole)}
        joined = np.concatenate([ORDER.images_at(part) for part in shares])
        assert np.array_equal(joined, ORDER.images_at(whole))


# kohya_ss#3457, OneTrainer#816, SimpleTuner#1303: small buckets were dropped without a word.
def test_no_image_is_dropped_or_preferred_whatever_the_size_of_its_bucket():
    epochs = BATCH  # after so many, every bucket has complete batches only
    total = ORDER.batches_before(epochs)
    assert total * BATCH == epochs * sum(COUNTS)
    for bucket, count in enumerate(COUNTS):
        seen = np.bincount(images_of_batches(ORDER, bucket, total), minlength=count)
        assert seen.tolist() == [epochs] * count


def test_what_is_left_over_comes_first_in_the_next_epoch():
    for epoch in range(6):
        end = ORDER.batches_before(epoch + 1)
        for bucket, count in enumerate(COUNTS):
            images = images_of_batches(ORDER, bucket, ORDER.batches_before(epoch + 12))
            done = len(images_of_batches(ORDER, bucket, end))
            left = ORDER.left_over(epoch)[bucket]
            assert done + left == count * (epoch + 1)
            # Every image of a permutation is seen once; the rest of it begins the next epoch.
            rest = images[done : done + left]
            permutation = images_at(range(count * (epoch + 1)), count, ORDER.seed)
            assert rest == permutation[done:].tolist()


def test_the_log_tells_what_is_left_over():
    text = describe_order(ORDER, ("a", "b", "c", "d"))
    assert "a 23 (2 batches, 7 left over)" in text
    assert "b 5 (0 batches, 5 left over)" in text
    assert "d 1 (0 batches, 1 left over)" in text
    assert "comes first in the next epoch" in text


def test_a_position_does_not_depend_on_what_was_read_before():
    forwards = [batch(ORDER, number) for number in range(60)]
    again = BucketOrder(COUNTS, BATCH, seed=3)
    assert [batch(again, number) for number in reversed(range(60))] == forwards[::-1]


def test_the_batches_of_an_epoch_are_mixed_and_other_epochs_and_seeds_mix_them_otherwise():
    counts = (320, 320)

    def buckets(seed, epoch):
        order = BucketOrder(counts, 8, seed)
        start = order.batches_before(epoch)
        return [batch(order, start + number)[0] for number in range(80)]

    first = buckets(0, 0)
    assert sum(one != other for one, other in itertools.pairwise(first)) > 20
    assert len({tuple(buckets(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_positions_of_two_batches_have_no_bucket():
    with pytest.raises(ValueError, match="not of one batch of 8"):
        ORDER.bucket_at(range(4, 12))
