"""Discriminators: real image or reconstruction, one logit per overlapping patch.

**PatchGAN.** Sizes as in LDM (arXiv:2112.10752), after pix2pix (arXiv:1611.07004): 4x4
convolutions, LeakyReLU of 0.2, weights from N(0, 0.02). Their batch norm is a group norm here. A
batch norm takes its statistics from the images of one worker, so its logits would depend on the
number of workers and on gradient accumulation, and its running statistics would differ between
workers; a group norm sees one image at a time.

**Projected**: small heads on the features of a network that is trained already and stays as it is
(Sauer et al., Projected GANs, arXiv:2111.01007, section 3). The features need not be learned, so it
is of use from the first step on. Here they are those that the perceptual loss has computed.
There are no random projections between scales.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pdm.models.layers.basic import group_norm

MAX_WIDENING = 8  # of the later layers, times the first one's width
MAX_HEAD_WIDENING = 4  # of the heads at coarser strides, times the finest one's width
INITIAL_STD = 0.02


class PatchDiscriminator(nn.Module):
    """Discriminator of patches: logits above zero for an image, below for a reconstruction.

    Args:
        width: Channels of the first layer; each further layer doubles them, up to eight times.
        num_layers: Layers that halve the sides. A logit sees 70x70 pixels with 3, 34x34 with 2.
    """

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        widths = [width * min(2**index, MAX_WIDENING) for index in range(num_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for index in range(1, num_layers + 1):
            stride = 2 if index < num_layers else 1
            layers += [
                nn.Conv2d(widths[index - 1], widths[index], 4, stride, padding=1, bias=False),
                group_norm(widths[index]),  # shifts too, so the convolution needs no bias
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) in [-1, 1] to logits (B, 1, h, w), one per patch.

        H and W must be at least 3 * 2 ** num_layers.
        """
        logits: Tensor = self.layers(images)
        return logits


class ProjectedDiscriminator(nn.Module):
    """Discriminator of features: at each stride, logits above zero for those of an image.

    Args:
        channels: Of the features at each stride, fine to coarse.
        width: Channels of the head at the finest stride; each coarser one has twice as many, up to
            four times.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        widths = (width * min(2**index, MAX_HEAD_WIDENING) for index in range(len(channels)))
        self.heads = nn.ModuleList(map(_Head, channels, widths))

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Map features (B, C, h, w) at each stride, of length 1 at each place, to logits (B, 1, h,
        w) at each."""
        return tuple(head(maps) for head, maps in zip(self.heads, features, strict=True))


class _Head(nn.Sequential):
    """Sees 3x3 places of a feature map."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            group_norm(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
        )
        self.scale = math.sqrt(channels)  # features of length 1 have values of about 1 then

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = super().forward(self.scale * features)  # type: ignore[no-untyped-call]
        return logits


@torch.no_grad()
def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        layer.weight.normal_(0, INITIAL_STD)
        if layer.bias is not None:
            layer.bias.zero_()
