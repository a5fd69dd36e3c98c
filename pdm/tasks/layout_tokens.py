"""The tokens of a layout, as LDM has them (Rombach et al., arXiv:2112.10752, section E.1).

    left-top, right-bottom, class    of each box, the largest first
    left-top, right-bottom           of the crop, at the end

A corner is the number of the nearest point of a grid of n x n points, row by row, where n is the
root of the size of the vocabulary. A class is its number among the names; what stands for a corner
and what for a class follows from the place in the sequence. Unlike LDM's, no network reads the
places of boxes that are not there: they are masked.
"""

import math
from collections.abc import Sequence

import torch

from pdm.data.annotations.boxes import LabelledBox, Layout
from pdm.models.condition import Condition

PER_BOX = 3


def grid_side(vocabulary_size: int) -> int:
    """The number of points on each side of the grid of corners."""
    return math.isqrt(vocabulary_size)


def corner_token(x: float, y: float, side: int) -> int:
    """The token of a point with coordinates from 0 to 1."""
    column, row = (round(min(max(one, 0.0), 1.0) * (side - 1)) for one in (x, y))
    return row * side + column


def largest_boxes(layout: Layout, most: int) -> list[LabelledBox]:
    """The boxes that are shown to the network: the `most` largest, the largest first."""

    def order(box: LabelledBox) -> tuple[float, float, float, str]:
        return -box.area, box.y, box.x, box.class_name

    return sorted(layout.boxes, key=order)[:most]


def tokens_of(
    layout: Layout, names: Sequence[str], max_boxes: int, vocabulary_size: int
) -> list[int]:
    """The tokens of the boxes, three each, and the two of the crop.

    Args:
        layout: Its classes are among the names.
        names: Classes of the data.
        max_boxes: The smallest of more are left out.
        vocabulary_size: Number of tokens that the network knows.
    """
    side, found = grid_side(vocabulary_size), []
    for box in largest_boxes(layout, max_boxes):
        found += [
            corner_token(box.x, box.y, side),
            corner_token(box.x + box.width, box.y + box.height, side),
            names.index(box.class_name),
        ]
    left, top, right, bottom = layout.crop
    return [*found, corner_token(left, top, side), corner_token(right, bottom, side)]


def layout_condition(
    layouts: Sequence[Layout], names: Sequence[str], max_boxes: int, vocabulary_size: int
) -> Condition:
    """The condition of some layouts: tokens and mask (B, 3 max_boxes + 2); arguments as for
    `tokens_of`."""
    length = PER_BOX * max_boxes + 2
    tokens = torch.zeros(len(layouts), length, dtype=torch.int64)
    mask = torch.zeros(len(layouts), length, dtype=torch.bool)
    for row, layout in enumerate(layouts):
        found = torch.tensor(tokens_of(layout, names, max_boxes, vocabulary_size))
        count = len(found) - 2
        tokens[row, :count], tokens[row, -2:] = found[:count], found[count:]
        mask[row, :count] = mask[row, -2:] = True
    return Condition(tokens=tokens, mask=mask)
