"""A perceptual distance of images: how far the features of a trained network lie apart.

It is built as LPIPS is (Zhang et al., arXiv:1801.03924, equation 1), with two differences: the
network is an EfficientNet-Lite, and all channels count alike, since there are no weights learned
from people's judgements. So it is no LPIPS, and its values compare only with its own.

Features are taken after the stem and in the blocks that halve the side, where their input has been
expanded: at strides 2, 4, 8 and 16, with 32, 144, 240 and 672 channels in Lite0. Images of 16 px a
side are large enough.

Where an image has grain that the latents cannot hold, a distance of features at equal places is
least for a blur. The texture term does not compare places but how much each feature varies in a
window, so grain of the same kind is near wherever its grains lie. DISTS compares feature maps by
statistics, too, with the means over the whole image for texture (Ding et al., arXiv:2004.07728,
equations 6 and 7).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.features.efficientnet_lite import EfficientNetLite, standardise

# Added to the squared length of a place's features. Where few are active, as in the grey images of
# an untrained decoder, the gradient of the direction would grow without limit.
EPS = 1e-2

WINDOW = 4  # side in places of a feature map, at each stride
VARIANCE_EPS = 1e-5  # keeps the gradient of the deviation finite where a feature is constant


class FeatureDistance(nn.Module):
    """Distance of two batches of images.

    Args:
        network: With trained weights; only its first blocks are kept.
        texture: Weight of the texture term; 0 for none.
    """

    def __init__(self, network: EfficientNetLite, texture: float = 0.0) -> None:
        super().__init__()
        self.texture = texture
        halving = network.halving_numbers
        # The first of them is at the stride of the stem; after the last, nothing is needed.
        self.tap_numbers = halving[1:]
        self.stem = network.stem
        self.blocks = nn.ModuleList(list(network.blocks)[: halving[-1] + 1])
        # Of the features at each stride, fine to coarse
        self.channels = [network.stem.out_channels, *network.halving_widths[1:]]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compare image by image.

        Args:
            first: (B, 3, H, W) in [-1, 1]. Gradients reach it.
            second: As `first`.

        Returns:
            (B,), 0 for equal images. Each of the four strides adds at most 2, and at most 2 more,
            times its weight, by the texture term.
        """
        return self.between(self.directions(first), self.directions(second))

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Compare features that `directions` returned, as `forward` compares images: (B,)."""
        distances = torch.zeros(len(first[0]), device=first[0].device)
        for ours, theirs in zip(first, second):  # noqa: B905
            distances = distances + (ours - theirs).square().sum(dim=1).mean(dim=(1, 2))
            if self.texture > 0:
                apart = _deviations(ours) - _deviations(theirs)
                distances = distances + self.texture * apart.square().sum(dim=1).mean(dim=(1, 2))
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


def _deviations(
    features: Tensor, window: int = WINDOW, variance_eps: float = VARIANCE_EPS
) -> Tensor:
    """Return each channel's standard deviation in windows that overlap by half: (B, C, h', w')."""
    side = min(window, features.shape[2], features.shape[3])
    step = max(1, side // 2)
    means = F.avg_pool2d(features, side, step)
    variances = F.avg_pool2d(features.square(), side, step) - means.square()
    return (variances.clamp(min=0) + variance_eps).sqrt()
