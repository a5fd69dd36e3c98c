"""Painting from maps: how often a classifier of pixels finds what the map says, against real ones.

The classifier is trained on real pictures with their maps: a linear one on colours and means
around each pixel, and on the pixel's height in the picture.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.world import Size
from benchmarks.shared.ratios import Ratio
from pdm.data.annotations.maps import UNKNOWN, ClassMap
from pdm.data.pixels import Pixels
from pdm.inference.pictures.paint import paint

QUICK, FULL = world.QUICK, world.FULL
AROUND_PX = (1, 5, 11)
PIXELS = 60_000  # that the classifier learns from


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on the maps of held-out pictures."""
    built = world.build(size, "task-semantic", folder)
    classify = train_classifier(built.train, built.train_maps)
    drawn = [next(paint(built.models, one, [seed])) for seed, one in enumerate(built.maps)]
    ours = _agreement(classify, np.stack(drawn), built.maps)
    real = _agreement(classify, built.held_out, built.maps)
    shuffled = [built.maps[number - 1] for number in range(len(built.maps))]
    chance = _agreement(classify, np.stack(drawn), shuffled)
    return [
        Ratio(
            "semantic_agreement",
            "share of drawn pixels in which a classifier finds the map's class, over real ones",
            ours,
            real,
            "share",
            (ours / real,),
            "at least 0.8",
            f"with the maps of other pictures {chance:.2f}",
        )
    ]


def train_classifier(pictures: Pixels, maps: list[ClassMap]) -> LogisticRegression:
    """Train the classifier of pixels on pictures (N, H, W, 3) and their maps."""
    values, labels = features(pictures), np.stack(maps).reshape(-1)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.flatnonzero(labels != UNKNOWN))[:PIXELS]
    return LogisticRegression(max_iter=300).fit(values[chosen], labels[chosen])


def _agreement(classifier: LogisticRegression, pictures: Pixels, maps: list[ClassMap]) -> float:
    labels = np.stack(maps).reshape(-1)
    return float((classifier.predict(features(pictures)) == labels)[labels != UNKNOWN].mean())


def features(pictures: Pixels) -> NDArray[np.float64]:
    """What the classifier sees of each pixel of pictures (N, H, W, 3): (N x H x W, D)."""
    height, width = pictures.shape[1:3]
    rows = np.broadcast_to(np.linspace(-1, 1, height)[:, None, None], (height, width, 1))
    found = []
    for picture in pictures:
        scaled = picture.astype(np.float32) / 127.5 - 1
        around = [cv2.blur(scaled, (side, side)) for side in AROUND_PX]
        found.append(np.concatenate([*around, rows], axis=-1).reshape(height * width, -1))
    expanded: NDArray[np.float64] = PolynomialFeatures(2).fit_transform(np.concatenate(found))
    return expanded
