import time

import pytest
import torch

from pdm.data.image_tensors import RawImages
from pdm.training.loop.prefetch import BATCHES_AHEAD, prefetch_batches

CPU = torch.device("cpu")


def shares(count, size=2):
    return [range(start, start + size) for start in range(0, count * size, size)]


def test_bytes_arrive_as_the_images_that_the_loader_used_to_make():
    pixels = torch.randint(0, 256, (2, 4, 6, 3), dtype=torch.uint8)
    ((_, (images, number)),) = prefetch_batches(
        lambda positions: (RawImages(pixels, torch.tensor([1])), 7), shares(1), CPU
    )
    expected = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    expected[1] = expected[1].flip(2)
    assert torch.equal(images, expected)
    assert images.dtype == torch.float32
    assert number == 7


def test_several_batches_are_loaded_ahead_and_come_in_order():
    loaded = []

    def load(positions):
        loaded.append(positions)
        return (torch.tensor(list(positions)),)

    batches = prefetch_batches(load, iter(shares(10)), CPU)
    first, (values,) = next(batches)
    assert (first, values.tolist()) == (range(2), [0, 1])
    end = time.monotonic() + 10
    while len(loaded) < 1 + BATCHES_AHEAD and time.monotonic() < end:
        time.sleep(0.01)
    assert loaded == shares(10)[: 1 + BATCHES_AHEAD]
    assert [positions for positions, _ in batches] == shares(10)[1:]


def test_a_fault_is_raised_when_its_batch_is_due_and_not_before():
    def load(positions):
        if positions.start == 4:
            raise ValueError("a broken image")
        return (torch.zeros(1),)

    batches = prefetch_batches(load, shares(4), CPU)
    assert [next(batches)[0] for _ in range(2)] == shares(2)
    with pytest.raises(ValueError, match="a broken image"):
        next(batches)
