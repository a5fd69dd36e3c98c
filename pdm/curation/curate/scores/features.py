"""Features of images by EfficientNet-Lite0, for scores that are learned from examples."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdm.data.decoding.resize import downscale
from pdm.data.pixels import Pixels
from pdm.machine.threads import one_thread
from pdm.models.features.efficientnet_lite import EfficientNetLite, standardise
from pdm.models.features.published_weights import load_published

Floats = NDArray[np.float32]

# Images are resized to this number of pixels in their own shape, about that of the network's
# training images (224 x 224). One takes 14 ms on one core.
NUM_PIXELS = 320 * 160
NUM_TEXTURES = 2 * (24 + 40 + 112)


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one image.

    Args:
        pooled: (1280,), from 0 to 6: the input of the network's classifier.
        textures: (352,): mean and deviation of each channel of the maps at strides 4, 8 and 16.
    """

    pooled: Floats
    textures: Floats


def compute_features(image: Pixels) -> Features:
    """Features of an image (H, W, 3) of any size. Equal bits for any number of threads.

    Raises:
        Unavailable, BadInput: As `load_published`.
    """
    network = load_network()
    with torch.no_grad(), one_thread():
        maps = network.taps(_to_tensor(_resize(image)))
        pooled = network.pool(maps[-1])[0]
        textures = [
            moment[0]
            for values in maps[:-1]
            for moment in (values.mean(dim=(2, 3)), values.std(dim=(2, 3)))
        ]
    return Features(pooled.numpy(), torch.cat(textures).numpy())


@lru_cache(maxsize=1)
def load_network() -> EfficientNetLite:
    """Load the network, once per process. Channels last, which is a tenth faster here."""
    network = load_published()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _resize(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = math.sqrt(NUM_PIXELS / (height * width))
    size = max(32, round(width * scale)), max(32, round(height * scale))
    if scale <= 1:
        return downscale(image, *size)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _to_tensor(image: Pixels) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    images = standardise(planes.float() / 127.5 - 1)
    return images.contiguous(memory_format=torch.channels_last)
