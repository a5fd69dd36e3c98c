"""Filling in: largest change of known pixels, and the step across the mask's edge."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.world import Size
from benchmarks.shared.ratios import Ratio
from pdm.config.task import InpaintingTask
from pdm.data.pixels import Pixels
from pdm.inference.pictures.inpaint import inpaint
from pdm.tasks.inpainting import Inpainting
from pdm.tasks.partial_pictures.masks import Mask
from pdm.tasks.task import Example

QUICK, FULL = world.QUICK, world.FULL
EDITS = 10


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on held-out pictures, with masks as in the training."""
    built = world.build(size, "task-inpainting", folder)
    task = built.models.task
    assert isinstance(task, InpaintingTask)
    known, steps, real = 0.0, [], []
    for number, picture in enumerate(built.held_out):
        mask = Inpainting(task).mask(Example(str(number), pixels=picture))
        [filled] = inpaint(built.models, picture, mask, [number])
        known = max(known, _largest_change(filled, picture, mask))
        steps.append(_steps_at_edge(filled, mask))
        real.append(_steps_at_edge(picture, mask))
    drift = _drift_of_edits(built, task)
    ours, peer = (float(np.concatenate(found).mean()) for found in (steps, real))
    return [
        Ratio(
            "inpaint_known_diff",
            "largest change of a known pixel, also after ten edits",
            max(known, drift),
            None,
            "of 255",
            (max(known, drift),),
            "0",
        ),
        Ratio(
            "inpaint_edge",
            "step across the mask's edge, over that of the real pictures there",
            ours,
            peer,
            "of 255",
            (ours / peer,),
            "at most 1.1",
        ),
    ]


def _drift_of_edits(built: world.World, task: InpaintingTask) -> float:
    picture = built.held_out[0]
    masks = [Inpainting(task).mask(Example(f"edit {n}", pixels=picture)) for n in range(EDITS)]
    current = picture
    for seed, mask in enumerate(masks):
        [current] = inpaint(built.models, current, mask, [seed])
    return _largest_change(current, picture, np.any(masks, axis=0))


def _largest_change(result: Pixels, picture: Pixels, mask: Mask) -> float:
    changes = np.abs(result.astype(int) - picture)[~mask]
    return float(changes.max(initial=0))


def _steps_at_edge(picture: Pixels, mask: Mask) -> NDArray[np.float64]:
    """Absolute differences of neighbours of which one is masked."""
    values, found = picture.astype(np.float64), []
    for axis in (0, 1):
        crosses = np.diff(mask.astype(np.int8), axis=axis) != 0
        found.append(np.abs(np.diff(values, axis=axis)).mean(axis=-1)[crosses])
    return np.concatenate(found)
