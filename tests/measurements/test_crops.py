"""Small crops of photographs for the comparisons of quality."""

import numpy as np
from PIL import Image

from benchmarks.designs import crops

NUMBERS = {"num_landscapes": 4, "side_px": 16, "num_train": 16, "num_held_out": 4, "num_unseen": 4}


def write_photographs(folder):
    """Fine stripes, grey once they are reduced; and one picture smaller than a crop."""
    stripes = np.zeros((128, 256, 3), np.uint8)
    stripes[:, np.arange(256) % 4 < 2] = 255
    for number in range(4):
        Image.fromarray(stripes).save(folder / f"{number}.png")
    Image.new("RGB", (40, 12), "red").save(folder / "small.png")
    return crops.pictures_in(folder)


def test_photographs_are_reduced_before_they_are_cut_so_that_small_crops_show_things(tmp_path):
    photographs = write_photographs(tmp_path)
    assert len(photographs) == 5
    whole = crops.crops(photographs, **NUMBERS)["photographs"]
    reduced = crops.crops(photographs, **NUMBERS, reduced_px=16)["photographs"]
    assert whole.train.shape == reduced.train.shape == (8, 16, 16, 3)
    assert whole.train.std() > 20
    assert reduced.train.std() < 5
    assert not np.any(reduced.train[..., 0] > reduced.train[..., 1] + 20), "a crop of small.png"


def test_without_photographs_there_are_landscapes_alone():
    assert list(crops.crops([], **NUMBERS)) == ["landscapes"]
    assert crops.pictures_in(None) == []
