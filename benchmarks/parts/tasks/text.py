"""Prompts: how often a classifier finds in a drawn picture what its prompt says, against real ones.

The prompts are the captions of held-out landscapes, which are true by construction. The classifier
tells the hour of the day, which every caption names; it is trained on real pictures: a linear one
on means and deviations of colours in bands of rows.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.world import SEED, Size
from benchmarks.shared.ratios import Ratio
from pdm.config.sampling.prompts import Prompt
from pdm.curation.scrape.drawing.scene import choose
from pdm.data.pixels import Pixels
from pdm.inference.pictures.draw import draw

QUICK, FULL = world.QUICK, world.FULL_TOKENS
BANDS = 8  # of rows


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Draw one picture for the caption of each held-out one."""
    built = world.build(size, "task-text", folder)
    train = [choose(SEED, index) for index in range(size.num_train)]
    held_out = [choose(SEED, size.num_train + index) for index in range(size.num_held_out)]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(_features(built.train), [scene.hour.name for scene in train])
    drawn = [
        next(draw(built.models, Prompt(scene.caption, seed=seed), 1))[1]
        for seed, scene in enumerate(held_out)
    ]
    hours = np.array([scene.hour.name for scene in held_out])
    found = classifier.predict(_features(np.stack(drawn)))
    ours = float((found == hours).mean())
    real = float((classifier.predict(_features(built.held_out)) == hours).mean())
    chance = float(np.mean([(found == np.roll(hours, by)).mean() for by in range(1, len(hours))]))
    return [
        Ratio(
            "text_agreement",
            "share of drawn pictures in which a classifier finds the prompt's hour, over real ones",
            ours,
            real,
            "share",
            (ours / max(real, 1e-9),),
            "at least 0.8",
            f"with the prompts of other pictures {chance:.2f}",
        )
    ]


def _features(pictures: Pixels) -> NDArray[np.float64]:
    """Means and deviations of each colour in each band of rows, (N, 6 x BANDS)."""
    bands = np.array_split(pictures.astype(np.float64), BANDS, axis=1)
    parts = [stat for band in bands for stat in (band.mean((1, 2)), band.std((1, 2)))]
    return np.concatenate(parts, axis=1)
