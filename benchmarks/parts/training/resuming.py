"""How long a training takes to resume: from the search for a checkpoint to the end of a step.

The peer is the same first step of a new training.
"""

import itertools
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.parts.training.default_training import RandomLatents, default_config, fresh_state
from benchmarks.parts.training.no_run import NoRun
from benchmarks.shared.ratios import Ratio
from benchmarks.shared.timing import Seconds, interleaved, timed
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.checkpoints.run_folder import restore_newest
from pdm.training.distributed.workers import Workers
from pdm.training.loop.prefetch import prefetch_batches
from pdm.training.loop.steps import Steps


@dataclass(frozen=True)
class Size:
    batch_size: int
    rounds: int


FULL = Size(batch_size=16, rounds=5)
QUICK = Size(batch_size=2, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    checkpoints = Checkpoints(folder / "kept", keep=1)
    state, _ = fresh_state(RandomLatents())
    state.images_seen = size.batch_size
    checkpoints.save(state)
    begin = [Checkpoints(folder / name, keep=1) for name in ("kept", "none")]

    def first_step(found: Checkpoints) -> Seconds:
        data = RandomLatents()
        state, network = fresh_state(data)
        workers = Workers(torch.device("cpu"))

        def work() -> None:
            restore_newest(state, found, workers)
            starts = itertools.count(state.images_seen, size.batch_size)
            shares = (range(start, start + size.batch_size) for start in starts)
            batches = prefetch_batches(data.load, shares, workers.device)
            Steps(state, network, data, batches, default_config(), NoRun(), workers).advance()
            batches.close()

        return timed(work)

    ours, fresh = interleaved(size.rounds, *(lambda one=one: first_step(one) for one in begin))
    seconds = tuple(one.wall for one in ours)
    return [
        Ratio(
            "resume_seconds",
            "seconds from looking for a checkpoint to the first step's end; peer: from nothing",
            statistics.median(seconds),
            statistics.median(one.wall for one in fresh),
            "s",
            seconds,
            "",
            "Every file is compared with its sha256 before. Python and Ray start as for any run.",
        )
    ]
