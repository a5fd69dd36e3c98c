"""A stage that trains the tiny regression, as the two real ones do: run after run in one folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from points import CONFIG, Points, Regression
from torch import nn

from pdm import events
from pdm.config.training.loop import TrainingConfig
from pdm.errors import Preempted
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

CPU = Workers(torch.device("cpu"))
TRAINING = replace(CONFIG, num_workers=1, accumulation=1, log_every_images=8)


@dataclass(frozen=True)
class Section:
    """A section of params that trains."""

    training: TrainingConfig
    width: int = 1

    @property
    def needs_length(self) -> str:
        return self.training.needs_length


class StoppedRun(RunFolder):
    """Asks itself to stop one step after it has logged `stop_at` images."""

    stop_at: int | None = None

    def log(self, metrics, images_seen):
        super().log(metrics, images_seen)
        if self.stop_at is not None and images_seen >= self.stop_at:
            (self.folder / "stop").touch()


def stage(
    runs: Path,
    stop_at: int | None = None,
    data: str = "0" * 64,
    model: type[nn.Module] = Regression,
    **changes,
) -> Path:
    """What a stage does that trains, with a model of a few numbers."""
    config = Section(replace(TRAINING, **changes))
    record = RunRecord.of("autoencoder", config, {"shards": data})
    run, training = runs / record.name, config.training
    if finished.export(run, runs.parent / "model"):
        return run
    earlier_runs.prepare(run, record, config)
    (run / "stop").unlink(missing_ok=True)
    torch.manual_seed(0)
    state = TrainState(model(), training)
    restore_newest(state, checkpoints_of(run, training), CPU)
    folder = StoppedRun(run, "points", training, CPU, state.images_seen, score)
    folder.stop_at = stop_at
    train(state, CPU.wrap(state.model, training), Points(), training, folder, CPU)
    (run / "model").mkdir()
    (run / "model" / "weights").write_bytes(state.model.layer.weight.detach().numpy().tobytes())
    finished.finish(run, training)
    finished.export(run, runs.parent / "model")
    finished.prune(runs, training.keep_runs)
    return run


def score(state: TrainState, log: events.EventLog) -> float:
    log.metrics({"score": float(state.images_seen)}, state.images_seen)
    return float(state.images_seen)  # the first checkpoint is the best


def stop_run(runs: Path, at: int, **changes) -> Path:
    before = set(runs.glob("*"))
    with pytest.raises(Preempted):
        stage(runs, at - 8, **changes)
    [run] = set(runs.glob("*")) - before
    return run


def checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").glob("0*"))
