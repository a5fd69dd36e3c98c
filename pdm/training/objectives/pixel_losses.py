"""How far a reconstruction is from its picture, by measures that need no weights.

All take (B, C, H, W) in [-1, 1] and give one number, the mean over everything.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

GRADIENT_SCALES = 3  # full size, half and quarter: edges, and the shapes that they bound
CHARBONNIER_EPSILON = 1.0e-3  # Lai et al., LapSRN (arXiv:1704.03915), section 3.2


def l1(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference."""
    return F.l1_loss(found, wanted)


def charbonnier(found: Tensor, wanted: Tensor) -> Tensor:
    """L1 with a round tip: sqrt(difference^2 + epsilon^2), so that small differences rest.

    Charbonnier et al. (ICIP 1994), with the epsilon of LapSRN; it is the least value, too.
    """
    return ((found - wanted).square() + CHARBONNIER_EPSILON**2).sqrt().mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "charbonnier": charbonnier,
}


def gradient_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the pixel-to-pixel changes, both ways, over a few scales.

    L1 alone forgives a blurred edge; its gradients do not. Sides are of at least 2.
    """
    difference = found - wanted
    terms = []
    for scale in range(GRADIENT_SCALES):
        difference = F.avg_pool2d(difference, 2) if scale else difference
        if min(difference.shape[2:]) < 2:  # no neighbours; the mean of nothing is no number
            break
        terms.append(difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean())
    return torch.stack(terms).mean()
