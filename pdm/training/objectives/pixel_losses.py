"""Pixel losses of reconstructions: L1, Charbonnier and multi-scale gradient loss.

All take (B, C, H, W) in [-1, 1] and give a scalar, the mean over all values.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

GRADIENT_SCALES = 3  # full size, half and quarter: edges, and the shapes that they bound
CHARBONNIER_EPSILON = 1.0e-3  # Lai et al., LapSRN (arXiv:1704.03915), section 3.2


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return F.l1_loss(prediction, target)


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """Return a smooth L1: the mean of sqrt(difference^2 + epsilon^2).

    Charbonnier et al. (ICIP 1994), with the epsilon of LapSRN, which is also the smallest value.
    """
    return ((prediction - target).square() + CHARBONNIER_EPSILON**2).sqrt().mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "charbonnier": charbonnier,
}


def gradient_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of image gradients, in both directions, over some scales.

    L1 alone penalises a blurred edge too little. Sides must be at least 2.
    """
    difference = prediction - target
    terms = []
    for scale in range(GRADIENT_SCALES):
        difference = F.avg_pool2d(difference, 2) if scale else difference
        if min(difference.shape[2:]) < 2:  # no neighbours; the mean would be NaN
            break
        terms.append(difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean())
    return torch.stack(terms).mean()
