"""Masks: of the stated shares, the same for the same picture and epoch, and never too small in
latents."""

import numpy as np
import pytest
import torch

from pdm.config.task import InpaintingTask
from pdm.tasks.inpainting import Inpainting
from pdm.tasks.partial_pictures.masks import (
    batch_of_masks,
    blank,
    known_cells,
    mask_to_levels,
    random_mask,
)
from pdm.tasks.task import Example

SHAPES = ("rectangle", "circle", "brush", "irregular")
CONFIG = InpaintingTask(kind="inpainting", mask_shapes=SHAPES, min_share=0.1, max_share=0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(64, 128), (40, 24), (256, 256)])
def test_a_mask_covers_a_share_between_the_limits(shape, size):
    config = InpaintingTask(kind="inpainting", mask_shapes=(shape,), min_share=0.1, max_share=0.5)
    shares = [random_mask(config, *size, np.random.default_rng(seed)).mean() for seed in range(40)]
    assert min(shares) >= 0.1
    assert max(shares) <= 0.5
    assert max(shares) - min(shares) > 0.2  # many sizes, not one


def example(**changes) -> Example:
    facts = {"key": "a", "epoch": 0, "seed": 1, "pixels": np.zeros((32, 64, 3), np.uint8)}
    return Example(**facts | changes)


def test_a_mask_follows_from_seed_picture_and_epoch():
    task = Inpainting(CONFIG)
    first = task.mask(example())
    assert (task.mask(example()) == first).all()
    for change in ({"key": "b"}, {"epoch": 1}, {"seed": 2}):
        assert (task.mask(example(**change)) != first).any()


def test_one_pixel_masks_its_cell_and_the_cells_around_it_at_every_level():
    mask = np.zeros((32, 64), bool)
    mask[13, 41] = True
    for level, size in zip(
        mask_to_levels(batch_of_masks([mask]), [(4, 8), (8, 16)]), [(4, 8), (8, 16)], strict=True
    ):
        expected = torch.zeros(size)
        row, column = 13 * size[0] // 32, 41 * size[1] // 64
        expected[row - 1 : row + 2, column - 1 : column + 2] = 1
        assert torch.equal(level[0, 0], expected)


def test_a_blanked_picture_tells_nothing_of_what_was_there():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:6] = True
    one, other = (
        np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8) for seed in (1, 2)
    )
    other[~mask] = one[~mask]
    assert (blank(one, mask) == blank(other, mask)).all()
    assert (blank(one, mask)[~mask] == one[~mask]).all()


def test_a_small_hole_leaves_the_coarse_cells_known_and_a_large_one_does_not():
    sizes = [(1, 1), (2, 4), (8, 16)]
    small, large = torch.zeros(1, 1, 64, 128), torch.zeros(1, 1, 64, 128)
    small[..., 20:30, 40:50] = 1
    large[..., 10:, 10:] = 1
    whole, coarse, fine = known_cells(small, sizes)
    assert whole.all()
    assert coarse.all()
    assert torch.equal(fine, mask_to_levels(small, sizes[-1:])[0] == 0)
    assert not any(level.any() for level in known_cells(large, sizes)[:1])


def test_nothing_is_known_of_a_picture_that_is_hidden():
    assert not any(level.any() for level in known_cells(torch.ones(1, 1, 8, 8), [(1, 1), (4, 4)]))
