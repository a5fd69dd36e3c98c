"""Drawing by boxes: how much of each box a classifier of pixels finds to be of its class, against
real pictures. The classifier is that of the maps, so the boxes are those of water, forest and snow.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.semantic import features, train_classifier
from benchmarks.parts.tasks.world import Size
from benchmarks.shared.ratios import Ratio
from pdm.curation.scrape.drawing.boxes import KINDS
from pdm.data.annotations.boxes import Layout
from pdm.data.pixels import Pixels
from pdm.inference.pictures.draw import drawings_of_layout

QUICK, FULL = world.QUICK, world.FULL_TOKENS


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on the boxes of held-out pictures."""
    built = world.build(size, "task-layout", folder)
    classifier = train_classifier(built.train, built.train_maps)
    drawn = [
        next(drawings_of_layout(built.models, layout, [seed])).draw()
        for seed, layout in enumerate(built.layouts)
    ]
    ours = _agreement(classifier, drawn, built.layouts)
    real = _agreement(classifier, list(built.held_out), built.layouts)
    shuffled = [built.layouts[number - 1] for number in range(len(built.layouts))]
    chance = _agreement(classifier, drawn, shuffled)
    return [
        Ratio(
            "layout_agreement",
            "mean share of a box in which a classifier finds the box's class, over real pictures",
            ours,
            real,
            "share",
            (ours / max(real, 1e-9),),
            "at least 0.8",
            f"with the boxes of other pictures {chance:.2f}",
        )
    ]


def _agreement(
    classifier: LogisticRegression, pictures: Sequence[Pixels], layouts: Sequence[Layout]
) -> float:
    shares = []
    for picture, layout in zip(pictures, layouts, strict=True):
        height, width, _ = picture.shape
        found = classifier.predict(features(picture[None])).reshape(height, width)
        for box in layout.boxes:
            if box.class_name in KINDS:
                rows = slice(int(box.y * height), round((box.y + box.height) * height) + 1)
                columns = slice(int(box.x * width), round((box.x + box.width) * width) + 1)
                shares.append((found[rows, columns] == KINDS[box.class_name]).mean())
    return float(np.mean(shares)) if shares else 0.0
