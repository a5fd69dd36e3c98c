import numpy as np
import pytest
import torch
import torch.nn.functional as F
from evaluation_folders import landscape
from PIL import Image

from pdm.evaluation.features.resize import (
    CONVENTIONS,
    pillow_bicubic,
    tensorflow_bilinear,
    torch_bilinear_antialiased,
)

SIZES = [(97, 150), (64, 64), (20, 33), (300, 40)]


def pictures(height, width):
    """A landscape, and noise, the hardest for any filter."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.stack([landscape(0, height, width), noise])


def by_pillow(picture, side):
    """As clean-fid does: each channel as floating point."""
    channels = [
        Image.fromarray(picture[:, :, channel].astype(np.float32)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels])


def by_tensorflow_1(picture, side):
    """TensorFlow 1's kernel, pixel by pixel: no half-pixel centres, float32."""
    height, width, _ = picture.shape
    values = picture.astype(np.float32)
    found = np.empty((3, side, side), np.float32)
    for row in range(side):
        y = np.float32(row) * np.float32(height / side)
        top, bottom = int(y), min(int(y) + 1, height - 1)
        for column in range(side):
            x = np.float32(column) * np.float32(width / side)
            left, right = int(x), min(int(x) + 1, width - 1)
            beside, below = np.float32(x - left), np.float32(y - top)
            upper = values[top, left] + (values[top, right] - values[top, left]) * beside
            lower = values[bottom, left] + (values[bottom, right] - values[bottom, left]) * beside
            found[:, row, column] = upper + (lower - upper) * below
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [29, 64])
def test_clean_fid_is_pillows_bicubic(size, side):
    batch = pictures(*size)
    expected = np.stack([by_pillow(picture, side) for picture in batch])
    np.testing.assert_allclose(pillow_bicubic(batch, side).numpy(), expected, atol=5e-4)


def test_clean_fid_is_pillows_bicubic_at_2k():
    batch = np.random.default_rng(0).integers(0, 256, (1, 1024, 2048, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        pillow_bicubic(batch, 299)[0].numpy(), by_pillow(batch[0], 299), atol=5e-4
    )


@pytest.mark.parametrize("size", SIZES)
def test_torch_fidelity_is_tensorflow_1s_bilinear_bit_for_bit(size):
    batch = pictures(*size)
    expected = np.stack([by_tensorflow_1(picture, 29) for picture in batch])
    np.testing.assert_array_equal(tensorflow_bilinear(batch, 29).numpy(), expected)


def test_torchmetrics_is_torchs_antialiased_bilinear():
    batch = pictures(97, 150)
    images = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
    expected = F.interpolate(images, (29, 29), mode="bilinear", antialias=True)
    torch.testing.assert_close(torch_bilinear_antialiased(batch, 29), expected, atol=0, rtol=0)


def test_torchmetrics_without_antialiasing_is_torch_fidelitys():
    assert CONVENTIONS["torchmetrics-no-antialias"] is CONVENTIONS["torch-fidelity"]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_flat_picture_stays_flat_and_a_batch_is_its_pictures(convention):
    resize = CONVENTIONS[convention]
    flat = np.full((1, 97, 150, 3), 77, np.uint8)
    torch.testing.assert_close(resize(flat, 29), torch.full((1, 3, 29, 29), 77.0))
    batch = pictures(97, 150)
    alone = torch.cat([resize(batch[[index]], 29) for index in (0, 1)])
    torch.testing.assert_close(resize(batch, 29), alone, atol=1e-4, rtol=0)


def test_conventions_differ_by_far_more_than_they_are_reproduced_to():
    batch = pictures(97, 150)
    clean, fidelity, metrics = (
        CONVENTIONS[name](batch, 29) for name in ("clean-fid", "torch-fidelity", "torchmetrics")
    )
    assert (clean - fidelity).abs().mean() > 1
    assert (clean - metrics).abs().mean() > 0.5
