"""Puts what was drawn into the picture that it belongs to.

Known pixels come back equal to the bit, whatever the autoencoder does to them. So that no step
remains at the edge, the difference between known and decoded pixels is carried smoothly into the
drawn part, as in Poisson image editing (Pérez et al., SIGGRAPH 2003). Its grain, which the
autoencoder loses, fades within a few pixels: cut off at the edge, it would show as a step there.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels
from pdm.tasks.partial_pictures.masks import Mask

FloatMap = NDArray[np.float32]
SWEEPS = 8  # at each resolution
# Pixels over which the grain of the known part falls to a third. With 2 no step within the drawn
# part is larger than in real pictures (docs/log.md).
FADING_PX = 2.0
GRAIN = 16.0  # of 255, at most; what differs more is a shape that was drawn elsewhere
NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def fill_in(picture: Pixels, drawn: Pixels, alpha: FloatMap) -> Pixels:
    """Put a drawn picture into another one.

    Args:
        picture: uint8 (H, W, 3).
        drawn: The same size.
        alpha: (H, W) in [0, 1]: 0 keeps the pixel of `picture` to the bit, 1 takes the drawn one.

    Returns:
        uint8 (H, W, 3).
    """
    hole = alpha > 0
    difference = np.subtract(picture, drawn, dtype=np.float32)
    fitted = drawn + _carry_inwards(difference, ~hole)
    mixed = picture + alpha[..., None] * (fitted - picture)
    filled = mixed.round().clip(0, 255).astype(np.uint8)
    return np.where(hole[..., None], filled, picture)


def _carry_inwards(values: FloatMap, known: Mask) -> FloatMap:
    """Extend known values (H, W, C) smoothly, with their grain, which fades.

    Beside the edge each pixel has the value of the nearest known one, if it is no further than
    `GRAIN` from the smooth extension.
    """
    smooth = extend(values, known)
    if known.all() or not known.any():
        return smooth
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((labels.max() + 1, values.shape[2]), np.float32)
    nearest[labels[known]] = values[known]
    grain = np.clip(nearest[labels] - smooth, -GRAIN, GRAIN)
    carried: FloatMap = smooth + grain * np.exp((1 - distance) / FADING_PX)[..., None]
    return np.where(known[..., None], values, carried)


def extend(values: FloatMap, known: Mask) -> FloatMap:
    """Extend known values (H, W, C) smoothly to all pixels, by pull-push over halved copies.

    Each pixel without a value takes that of a copy of half the size, where the known ones of each
    2x2 pixels were averaged (Gortler et al., SIGGRAPH 1996). Without any known one all are 0.
    """
    weights = known.astype(np.float32)[..., None]
    if known.all() or not known.any():
        return values * weights
    if max(known.shape) == 1:
        return values
    coarse, count = _halve(values * weights), _halve(np.broadcast_to(weights, values.shape))
    averaged = np.divide(coarse, np.maximum(count, 1e-6), dtype=np.float32)
    inner = extend(averaged, count[..., 0] > 0)
    height, width = known.shape
    doubled = cv2.resize(inner, (2 * inner.shape[1], 2 * inner.shape[0]))[:height, :width]
    smooth = np.asarray(doubled, np.float32).reshape(values.shape)
    extended = np.where(weights > 0, values, smooth)
    # Towards the solution of Laplace's equation, so that the edge has the value of the very pixel
    # beside it, not that of the pixels around.
    for _ in range(SWEEPS):
        means = cv2.filter2D(extended, -1, NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
        extended = np.where(weights > 0, values, np.asarray(means).reshape(values.shape))
    return extended


def soften(mask: Mask, soft_px: int) -> FloatMap:
    """Return the share (H, W) of what is drawn: 1 within the mask, falling to 0 `soft_px`
    outside."""
    if soft_px == 0 or not mask.any():
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip(1 - distance / (soft_px + 1), 0, 1).astype(np.float32)


def _halve(values: FloatMap) -> FloatMap:
    """Average 2x2 pixels; an odd side is repeated at its end."""
    padded = np.pad(values, [(0, side % 2) for side in values.shape[:2]] + [(0, 0)], "edge")
    height, width, channels = padded.shape
    cells = padded.reshape(height // 2, 2, width // 2, 2, channels)
    averaged: FloatMap = cells.mean(axis=(1, 3), dtype=np.float32)
    return averaged
