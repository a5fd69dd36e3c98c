"""Images as the tensors that networks read and write, from pixels and back."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pdm.data.pixels import Pixels


class RawImages(NamedTuple):
    """Images as bytes: converted, and some of them mirrored, on the device that needs them."""

    pixels: Tensor  # uint8 (B, H, W, 3)
    mirrored: Tensor  # int64, the numbers of the images to mirror left to right

    def images(self) -> Tensor:
        """Float32 (B, 3, H, W) in [-1, 1], on the device of the bytes."""
        images = to_images(self.pixels)
        if len(self.mirrored):
            images[self.mirrored] = images[self.mirrored].flip(3)
        return images


def to_images(pixels: Pixels | Tensor, device: torch.device | None = None) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1].

    Bytes go to `device`, if one is named, and are converted there: a quarter of the traffic.
    """
    if not isinstance(pixels, Tensor):
        # torch warns of read-only memory
        pixels = torch.from_numpy(np.require(pixels, requirements="W"))
    if device is not None:
        pixels = pixels.to(device, non_blocking=True)
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(images: Tensor) -> Pixels:
    """Float (B, 3, H, W) in [-1, 1] to uint8 (B, H, W, 3), rounded and clipped."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    pixels: Pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous().numpy()
    return pixels
