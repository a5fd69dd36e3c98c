"""Images in memory: uint8 pixels, and the tensors that networks read and write."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]  # (H, W, 3) or (B, H, W, 3), sRGB


def to_images(pixels: Pixels) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1]."""
    writable = np.require(pixels, requirements="W")  # torch warns of read-only memory
    return torch.from_numpy(writable).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(images: Tensor) -> Pixels:
    """Float (B, 3, H, W) in [-1, 1] to uint8 (B, H, W, 3), rounded and clipped."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    pixels: Pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return pixels
