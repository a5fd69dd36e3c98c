"""Masks of the parts of pictures to fill in: random ones for training, and how they reach latents.

A mask is bool (H, W), true where the picture is to be filled in (white in a file). Shapes are those
of LaMa (Suvorov et al., arXiv:2109.07161: brush strokes, and boxes) and of common tools besides.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pdm.config.task import InpaintingTask, MaskShape

Mask = NDArray[np.bool_]
Canvas = NDArray[np.uint8]
MAX_TURN = np.pi / 2  # between two parts of a brush stroke
MOSTLY_HIDDEN = 0.5  # share of a coarse cell
MAX_PIECES = 200  # drawn in one mask, whatever their size


def random_mask(config: InpaintingTask, height: int, width: int, rng: np.random.Generator) -> Mask:
    """Draw a mask that covers about a random share of the picture between the config's limits.

    Pieces of one shape are added until the share is reached; one that would overshoot the upper
    limit is drawn again at half its size, so the share is within the limits wherever whole pixels
    allow it.
    """
    shape = config.mask_shapes[rng.integers(len(config.mask_shapes))]
    wanted = rng.uniform(config.min_share, config.max_share)
    mask, size = np.zeros((height, width), np.uint8), 1.0
    for _ in range(MAX_PIECES):
        if mask.mean() >= wanted:
            break
        added = mask.copy()
        PIECES[shape](added, size, rng)
        if added.mean() > config.max_share:
            size /= 2
        else:
            mask = added
    return mask.astype(bool)


def mask_to_levels(masks: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return which cells of each map a mask touches, grown by one cell on every side.

    A cell counts as soon as one of its pixels does: the latent of a cell depends on all its pixels,
    and through the encoder's convolutions on those around it.

    Args:
        masks: (B, 1, H, W) of 0 and 1.
        sizes: (h, w) of each map, which divide the picture's.

    Returns:
        (B, 1, h, w) of 0 and 1 for each map.
    """
    return [
        F.max_pool2d(F.adaptive_max_pool2d(masks, size), 3, stride=1, padding=1) for size in sizes
    ]


def known_cells(masks: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return which cells of each level are known well enough to be held while the rest is drawn.

    In the finest level those that the mask does not touch, as in `mask_to_levels`. A cell of a
    coarser level, the global one included, is known where less than half of it is hidden: such
    cells hold the layout and the colours, and without them something else would be drawn.

    Args:
        masks: (B, 1, H, W) of 0 and 1, 1 where the picture is hidden.
        sizes: (h, w) of each level, coarse to fine.

    Returns:
        bool (B, 1, h, w) for each level.
    """
    coarse = [F.adaptive_avg_pool2d(masks, size) < MOSTLY_HIDDEN for size in sizes[:-1]]
    return [*coarse, mask_to_levels(masks, sizes[-1:])[0] == 0]


def blank(pixels: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """Fill the part to be drawn with mid-grey, so that nothing of it reaches the encoder."""
    blanked = pixels.copy()
    blanked[mask] = 127
    return blanked


def batch_of_masks(masks: Sequence[Mask]) -> Tensor:
    """Stack masks to (B, 1, H, W) float32 of 0 and 1."""
    return torch.from_numpy(np.stack(masks)[:, None].astype(np.float32))


def _side(canvas: Canvas, low: float, high: float, size: float, rng: np.random.Generator) -> int:
    """Draw a length in pixels, a share of the shorter side of the picture."""
    return max(1, round(float(size * rng.uniform(low, high) * min(canvas.shape))))


def _place(canvas: Canvas, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a point (x, y) of the picture."""
    height, width = canvas.shape
    return int(rng.integers(width)), int(rng.integers(height))


def _add_rectangle(canvas: Canvas, size: float, rng: np.random.Generator) -> None:
    x, y = _place(canvas, rng)
    across, down = (_side(canvas, 0.2, 0.7, size, rng) for _ in range(2))
    left, top = max(0, x - across // 2), max(0, y - down // 2)
    canvas[top : top + down, left : left + across] = 1


def _add_circle(canvas: Canvas, size: float, rng: np.random.Generator) -> None:
    cv2.circle(canvas, _place(canvas, rng), _side(canvas, 0.1, 0.35, size, rng), 1, -1)


def _add_stroke(canvas: Canvas, size: float, rng: np.random.Generator) -> None:
    """A stroke of several parts with round joints, as LaMa's."""
    point, angle = np.array(_place(canvas, rng), float), rng.uniform(0, 2 * np.pi)
    thickness = _side(canvas, 0.06, 0.16, size, rng)
    for _ in range(int(rng.integers(2, 6))):
        angle += rng.uniform(-MAX_TURN, MAX_TURN)
        length = _side(canvas, 0.15, 0.5, size, rng)
        end = point + length * np.array([np.cos(angle), np.sin(angle)])
        begin, stop = ([round(float(value)) for value in place] for place in (point, end))
        cv2.line(canvas, begin, stop, 1, thickness)
        cv2.circle(canvas, stop, thickness // 2, 1, -1)
        point = end


def _add_blot(canvas: Canvas, size: float, rng: np.random.Generator) -> None:
    """A polygon of random radii: an outline that bends in and out."""
    radius, count = _side(canvas, 0.15, 0.4, size, rng), int(rng.integers(6, 14))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = radius * rng.uniform(0.4, 1.0, count)
    corners = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + _place(canvas, rng)
    cv2.fillPoly(canvas, [corners.round().astype(np.int32)], 1)


PIECES: dict[MaskShape, Callable[[Canvas, float, np.random.Generator], None]] = {
    "rectangle": _add_rectangle,
    "circle": _add_circle,
    "brush": _add_stroke,
    "irregular": _add_blot,
}
