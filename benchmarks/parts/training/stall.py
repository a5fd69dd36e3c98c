"""How much a checkpoint delays a training, written in the background or between two steps.

Some steps of the default run's UNet, with a checkpoint begun before the first of them, against the
same number without. The stall is the extra time as a share of the default run's interval between
two checkpoints.
"""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.parts.training.default_training import RandomLatents, default_config, fresh_state
from benchmarks.parts.training.no_run import NoRun
from benchmarks.shared.networks import count_parameters
from benchmarks.shared.ratios import Ratio
from benchmarks.shared.timing import Seconds, interleaved, timed
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.distributed.workers import Workers
from pdm.training.loop.prefetch import prefetch_batches
from pdm.training.loop.state import TrainState
from pdm.training.loop.steps import Steps


@dataclass(frozen=True)
class Size:
    batch_size: int
    steps: int
    rounds: int


FULL = Size(batch_size=16, steps=8, rounds=5)
QUICK = Size(batch_size=2, steps=1, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    advance, state = _training(size)
    checkpoints = Checkpoints(folder, keep=1)

    def plain() -> None:
        for _ in range(size.steps):
            advance()

    def beside() -> None:
        checkpoints.begin(state)
        plain()
        checkpoints.flush()  # all of its work counts

    def between() -> None:
        checkpoints.begin(state)
        checkpoints.flush()
        plain()

    sides = (partial(timed, work) for work in (beside, plain, between))
    ours, without, waiting = interleaved(size.rounds, *sides)
    note = (
        f"{count_parameters(state.model) / 1e6:.1f} million weights, "
        f"{len(state.ema_weights)} EMAs and the optimizer, batches of {size.batch_size}; peer: the "
        "training waits for the file. Less is better."
    )
    extra = [_extra_steps(side, without, size.steps) for side in (ours, waiting)]
    return _lines(extra[0], extra[1], note)


def _extra_steps(
    with_checkpoint: list[Seconds], without: list[Seconds], num_steps: int
) -> list[float]:
    """Extra time in each round, in steps."""
    pairs = zip(with_checkpoint, without, strict=True)
    return [(one.wall - two.wall) / (two.wall / num_steps) for one, two in pairs]


def _lines(background: list[float], waiting: list[float], note: str) -> list[Ratio]:
    config = default_config()
    steps_between = config.save_every_images // config.batch_size
    in_background, between_steps = statistics.median(background), statistics.median(waiting)
    return [
        Ratio(
            "checkpoint_stall",
            f"extra time for a checkpoint, over the {steps_between} steps from one to the next",
            in_background / steps_between,
            between_steps / steps_between,
            "",
            tuple(steps / steps_between for steps in background),
            "at most 0.05",
            note,
        ),
        Ratio(
            "checkpoint_stall_in_steps",
            "extra time for a checkpoint, in steps",
            in_background,
            between_steps,
            "steps",
            tuple(background),
            "",
            note,
        ),
    ]


def _training(size: Size) -> tuple[Callable[[], bool], TrainState]:
    """A function that takes a step, and the state that it moves."""
    data = RandomLatents()
    state, network = fresh_state(data)
    config = default_config()
    workers = Workers(torch.device("cpu"))
    starts = itertools.count(0, size.batch_size)
    shares = (range(start, start + size.batch_size) for start in starts)
    batches = prefetch_batches(data.load, shares, workers.device)
    steps = Steps(state, network, data, batches, config, NoRun(), workers)
    return steps.advance, state
