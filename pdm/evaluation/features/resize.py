"""Resizes pictures to a network's input size, by the conventions of published scores.

Every function takes pictures (B, H, W, 3) uint8 and gives (B, 3, side, side) float32 on the scale
[0, 255], not rounded. The same pictures score differently by convention: a number says which.

clean-fid                    Pillow's bicubic with antialiasing, on floating point, per channel
                             (Parmar et al., arXiv:2104.11222)
torch-fidelity               TensorFlow 1's bilinear: no antialiasing, corner of the picture on
                             corner of the grid; what the original FID code did
torchmetrics                 torch's bilinear with antialiasing, torchmetrics' default since 1.9
torchmetrics-no-antialias    the same as torch-fidelity, torchmetrics' default before
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pdm.data.pixels import Pixels
from pdm.evaluation.distances.moments import Array

BICUBIC_SHARPNESS = -0.5  # Pillow's; OpenCV and torch without antialiasing have -0.75
ROWS_AT_ONCE = 16  # of the result: few enough for overlapping inputs, enough for a fast product

Resize = Callable[[Pixels, int], Tensor]


def pillow_bicubic(pictures: Pixels, side: int) -> Tensor:
    """Resize like Pillow for each channel in mode F, to within 1e-4 of 255, four times as fast.

    The filter is separable and its support short: few rows of the picture reach a row of the
    result, so both passes are products with small dense blocks of the matrix of weights.
    """
    return pillow_bicubic_to(pictures, side, side)


def pillow_bicubic_to(pictures: Pixels, new_height: int, new_width: int) -> Tensor:
    """The same to a size that is not square, (B, 3, new_height, new_width)."""
    return torch.stack(
        [_bicubic(picture, new_height, new_width) for picture in torch.from_numpy(pictures)]
    )


def tensorflow_bilinear(pictures: Pixels, side: int) -> Tensor:
    """Resize like `tf.image.resize_bilinear(align_corners=False)` of TensorFlow 1, bit for bit."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    (top, bottom, below), (left, right, beside) = (
        _tensorflow_places(size, side) for size in images.shape[2:]
    )
    rows = [images[:, :, row].float() for row in (top, bottom)]
    upper, lower = (row[..., left] + (row[..., right] - row[..., left]) * beside for row in rows)
    resized: Tensor = upper + (lower - upper) * below[:, None]
    return resized


def torch_bilinear_antialiased(pictures: Pixels, side: int) -> Tensor:
    """Resize by `interpolate(mode="bilinear", antialias=True, align_corners=False)`."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


CONVENTIONS: dict[str, Resize] = {
    "clean-fid": pillow_bicubic,
    "torch-fidelity": tensorflow_bilinear,
    "torchmetrics": torch_bilinear_antialiased,
    "torchmetrics-no-antialias": tensorflow_bilinear,
}


def _bicubic(picture: Tensor, new_height: int, new_width: int) -> Tensor:
    height, width, channels = picture.shape
    shrunk = torch.empty(new_height, width * channels)
    for first, last, begin, weights in _blocks(height, new_height):
        rows = picture[begin : begin + weights.shape[1]].flatten(1).float()
        torch.matmul(weights, rows, out=shrunk[first:last])
    columns = shrunk.view(new_height, width, channels).permute(0, 2, 1).reshape(-1, width)
    resized = torch.empty(new_height * channels, new_width)
    for first, last, begin, weights in _blocks(width, new_width):
        resized[:, first:last] = columns[:, begin : begin + weights.shape[1]] @ weights.T
    return resized.view(new_height, channels, new_width).transpose(0, 1)


@lru_cache(maxsize=16)
def _blocks(size: int, side: int) -> list[tuple[int, int, int, Tensor]]:
    """The matrix of weights (side, size) without its zeros: blocks of rows, each with the first
    column that it needs."""
    weights = _bicubic_weights(size, side)
    blocks = []
    for first in range(0, side, ROWS_AT_ONCE):
        rows = weights[first : first + ROWS_AT_ONCE]
        used = np.flatnonzero(rows.any(0))
        part = rows[:, used[0] : used[-1] + 1].astype(np.float32)
        blocks.append((first, first + len(rows), int(used[0]), torch.from_numpy(part)))
    return blocks


def _bicubic_weights(size: int, side: int) -> Array:
    """Compute weights of Keys' cubic, widened when the result is smaller; rows sum to one."""
    scale = size / side
    stretch = max(scale, 1.0)
    centres = (np.arange(side) + 0.5) * scale
    first = np.maximum((centres - 2 * stretch + 0.5).astype(int), 0)
    last = np.minimum((centres + 2 * stretch + 0.5).astype(int), size)
    columns = np.arange(size)
    x = np.abs(columns + 0.5 - centres[:, None]) / stretch
    a = BICUBIC_SHARPNESS
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    inside = (columns >= first[:, None]) & (columns < last[:, None])
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0)) * inside
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _tensorflow_places(size: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixel before, the pixel after, and the weight of the latter, for each result
    pixel."""
    places = torch.arange(side, dtype=torch.float32) * torch.tensor(size / side)
    before = places.long()
    return before, (before + 1).clamp_max(size - 1), places - before.float()
