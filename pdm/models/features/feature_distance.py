"""A perceptual distance of images: how far the features of a trained network lie apart.

It is built as LPIPS is (Zhang et al., arXiv:1801.03924, equation 1), with two differences: the
network is an EfficientNet-Lite, and all channels count alike, since there are no weights learned
from people's judgements. So it is no LPIPS, and its values compare only with its own.

Features are taken after the stem and in the blocks that halve the side, where their input has been
expanded: at strides 2, 4, 8 and 16, with 32, 144, 240 and 672 channels in Lite0. Images of 16 px a
side are large enough.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.features.efficientnet_lite import EfficientNetLite, standardise

# Added to the squared length of a place's features. Where few are active, as in the grey images of
# an untrained decoder, the gradient of the direction would grow without limit.
EPS = 1e-2


class FeatureDistance(nn.Module):
    """Distance of two batches of images.

    Args:
        network: With trained weights; only its first blocks are kept.
    """

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        halving = network.halving_numbers
        # The first of them is at the stride of the stem; after the last, nothing is needed.
        self.tap_numbers = halving[1:]
        self.stem = network.stem
        self.blocks = nn.ModuleList(list(network.blocks)[: halving[-1] + 1])

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compare image by image.

        Args:
            first: (B, 3, H, W) in [-1, 1]. Gradients reach it.
            second: As `first`.

        Returns:
            (B,), from 0 for equal images to 2 for each of the four strides.
        """
        distances = torch.zeros(len(first), device=first.device)
        for ours, theirs in zip(self.directions(first), self.directions(second)):  # noqa: B905
            distances = distances + (ours - theirs).square().sum(dim=1).mean(dim=(1, 2))
        return distances

    def directions(self, images: Tensor) -> list[Tensor]:
        """Return the features at each stride (B, C, h, w), of length 1 at each place."""
        x = F.relu6(self.stem(standardise(images)))
        directions = [_of_length_1(x)]
        for number, block in enumerate(self.blocks):
            inner = block.expanded(x)  # type: ignore[operator]
            if number in self.tap_numbers:
                directions.append(_of_length_1(inner))
            if number < self.tap_numbers[-1]:
                x = block.reduce(inner, x)  # type: ignore[operator]
        return directions


def _of_length_1(features: Tensor, eps: float = EPS) -> Tensor:
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + eps)
