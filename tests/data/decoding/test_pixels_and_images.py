import warnings

import numpy as np
import torch

from pdm.data.image_tensors import to_images, to_pixels


def test_pixels_come_back_from_tensors_unchanged():
    pixels = np.arange(2 * 16 * 8 * 3, dtype=np.uint8).reshape(2, 16, 8, 3)
    images = to_images(pixels)
    assert images.shape == (2, 3, 16, 8)
    assert images.dtype == torch.float32
    assert np.array_equal(to_pixels(images), pixels)


def test_black_is_minus_one_and_white_is_one():
    pixels = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert to_images(pixels).unique().tolist() == [-1, 1]
    assert (
        to_pixels(torch.tensor([-7.0, 7.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)).ravel().tolist()
        == [0] * 3 + [255] * 3
    )


def test_read_only_pixels_are_converted_without_a_warning_and_stay_as_they_are():
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = to_images(pixels)
    images += 1
    assert not pixels.any()
