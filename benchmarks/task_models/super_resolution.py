"""Enlarging 4 times against a bicubic filter: distance from the true pictures, and PSNR."""

from pathlib import Path

import numpy as np

from benchmarks.common import Ratio
from benchmarks.task_models import world
from benchmarks.task_models.world import Size, psnr
from pdm.config.task import SuperResolutionTask
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.pictures.upscale import upscale
from pdm.tasks.degradation import degrade, enlarge

QUICK, FULL = world.QUICK, world.FULL


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on held-out pictures."""
    built = world.build(size, "task-super-resolution", folder)
    task = built.studio.task
    assert isinstance(task, SuperResolutionTask)
    truth = built.held_out
    small = [degrade(picture, task, np.random.default_rng(0)) for picture in truth]
    ours = np.stack([upscale(built.studio, task, one, seed) for seed, one in enumerate(small)])
    plain = np.stack([enlarge(one, *truth.shape[1:3]) for one in small])
    judge = ReferenceDistance()
    reference = judge.features(truth)
    distances = [judge.distance(judge.features(each), reference) for each in (ours, plain)]
    quality = psnr(ours, truth), psnr(plain, truth)
    shift = np.abs(
        ours.mean((1, 2), dtype=float) - np.stack([one.mean((0, 1), dtype=float) for one in small])
    ).max()
    return [
        Ratio(
            "sr_distance_vs_bicubic",
            "distance of enlarged held-out pictures from the true ones, over bicubic's",
            *distances,
            judge.name,
            (distances[0] / distances[1],),
            "below 0.7",
            f"largest shift of a channel's mean {shift:.2f} of 255",
        ),
        Ratio(
            "sr_psnr_gain_db",
            "PSNR of enlarged held-out pictures, less bicubic's",
            *quality,
            "dB",
            (quality[0] - quality[1],),
        ),
    ]
