import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdm.data.order import images_at, share


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 3))
def test_every_epoch_shows_each_image_once(num_images, epoch, seed):
    positions = range(epoch * num_images, (epoch + 1) * num_images)
    assert sorted(images_at(positions, num_images, seed)) == list(range(num_images))


@given(st.integers(0, 200), st.integers(1, 50))
def test_a_resumed_run_sees_the_images_it_would_have_seen(start, length):
    whole = images_at(range(start + length), 17, seed=3)
    assert np.array_equal(images_at(range(start, start + length), 17, seed=3), whole[start:])


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_any_number_of_workers_sees_the_same_batch(world_size, accumulation):
    batch = range(36, 60)
    seen = [
        position
        for rank in range(world_size)
        for step in range(accumulation)
        for position in share(share(batch, rank, world_size), step, accumulation)
    ]
    assert seen == list(batch)


def test_epochs_and_seeds_differ():
    first, second = images_at(range(50), 50, 0), images_at(range(50, 100), 50, 0)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, images_at(range(50), 50, 1))


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="5 images cannot be split into 2 parts"):
        share(range(5), 0, 2)
