"""The PatchGAN discriminator: real picture or reconstruction, one logit per overlapping patch.

Sizes as in LDM (arXiv:2112.10752), after pix2pix (arXiv:1611.07004): 4x4 convolutions,
LeakyReLU of 0.2, weights from N(0, 0.02). Their batch norm is a group norm here. A batch norm takes
its statistics from the pictures of one worker, so its logits would depend on the number of workers
and on gradient accumulation, and its running statistics would differ between workers; a group norm
sees one picture at a time.
"""

import torch
from torch import Tensor, nn

from pdm.models.layers.basic import group_norm

MAX_WIDENING = 8  # of the later layers, times the first one's width
INITIAL_STD = 0.02


class PatchDiscriminator(nn.Module):
    """Discriminator of patches: logits above zero for a picture, below for a reconstruction.

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


@torch.no_grad()
def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        layer.weight.normal_(0, INITIAL_STD)
        if layer.bias is not None:
            layer.bias.zero_()
