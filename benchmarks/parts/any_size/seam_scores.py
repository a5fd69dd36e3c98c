"""Scores of seams and collages in pictures that were drawn in tiles.

The seam score of a picture is the mean absolute step between neighbouring pixels across the lines
where tiles of a grid without overlap meet, over that across other lines: 1 without seams. The other
lines are 8, 16, ... pixels away, so that they, too, lie between cells of every level.

The collage score is the likeness of features between the tiles of a picture: high where each tile
draws the same again.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

LINES_PX = 8  # between the lines that are compared
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
Floats = NDArray[np.float64]


class Judge(Protocol):
    """A network, such as `pdm.evaluation.reference_distance.ReferenceDistance`."""

    def features(self, pictures: Iterable[Pixels]) -> Floats:
        """Compute the features of pictures (H, W, 3), (N, D)."""


def seam_scores(pictures: list[Pixels], tile: tuple[int, int]) -> Floats:
    """Score pictures (H, W, 3) against the borders of tiles (h, w): (pictures,)."""
    return np.array([_seam_score(picture.astype(np.float64), tile) for picture in pictures])


def likeness(pictures: list[Pixels], tile: tuple[int, int], judge: Judge) -> Floats:
    """Return the mean cosine between the features of each picture's tiles: (pictures,).

    Features are those of the judge, less their mean over all tiles of all pictures.
    """
    height, width = tile
    cut = [
        [
            picture[top : top + height, left : left + width]
            for top in range(0, picture.shape[0] - height + 1, height)
            for left in range(0, picture.shape[1] - width + 1, width)
        ]
        for picture in pictures
    ]
    features = np.stack([judge.features(tiles) for tiles in cut])
    features = features - features.mean((0, 1))
    features /= np.linalg.norm(features, axis=2, keepdims=True)
    products = np.einsum("pid,pjd->pij", features, features)
    count = features.shape[1]
    values: Floats = (products.sum((1, 2)) - count) / (count * (count - 1))
    return values


def interval(
    values: Floats, reference: Floats, statistic: Callable[[Floats, Floats], float]
) -> tuple[float, float]:
    """Return a bootstrap interval of 95 % over pictures of both sets."""
    random = np.random.default_rng(0)
    found = [
        statistic(random.choice(values, len(values)), random.choice(reference, len(reference)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(found, INTERVAL)
    return float(low), float(high)


def _seam_score(picture: Floats, tile: tuple[int, int]) -> float:
    across, elsewhere = [], []
    for axis, side in enumerate(tile):
        steps = np.abs(np.diff(picture, axis=axis)).mean(axis=(1 - axis, 2))
        places = np.arange(len(steps)) + 1  # of lines before these rows or columns
        across.append(steps[places % side == 0])
        elsewhere.append(steps[(places % LINES_PX == 0) & (places % side != 0)])
    # Each direction by itself: it has its own share of lines at borders.
    ratios = [one.mean() / other.mean() for one, other in zip(across, elsewhere, strict=True)]
    return float(np.sqrt(np.prod(ratios)))
