"""A training run's folder on disk: events, checkpoints, pictures, and the request to stop.

events.jsonl     see pdm.events; written by worker 0
run.json         see pdm.training.checkpoints.run_record
checkpoints/     see pdm.training.checkpoints.folder
model/           with finished.json: see pdm.training.checkpoints.finished
pictures.txt     pictures that the model has seen through others: see pdm.training.init_from
pictures/        drawn after each checkpoint
training.log     log of worker 0
stop             a request to end the run early
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from pdm import ema
from pdm.config.training.loop import TrainingConfig
from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.events import EventLog
from pdm.progress import Progress
from pdm.training.checkpoints.disk_space import check_disk_space
from pdm.training.checkpoints.folder import Checkpoints, is_scored
from pdm.training.checkpoints.snapshots import CHECKPOINTS, Marks
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState

EVENTS = "events.jsonl"
STOP = "stop"
EMA_SNAPSHOTS = f"{CHECKPOINTS}/{ema.FOLDER}"  # see pdm.training.checkpoints.snapshots
LOG = "training.log"
DAMAGED = -1  # in place of the images seen by the newest checkpoint

# Called on every worker after each checkpoint, with the state and, on worker 0, the event log.
# Returns the state's score; smaller is better.
ScoreCheckpoint = Callable[[TrainState, EventLog | None], float]


def checkpoints_of(folder: Path, config: TrainingConfig) -> Checkpoints:
    """The checkpoints of the run in this folder."""
    return Checkpoints(folder / CHECKPOINTS, config.keep_checkpoints, config.keep_every_images)


def restore_newest(state: TrainState, checkpoints: Checkpoints, workers: Workers) -> None:
    """Load the newest intact checkpoint, if any; the same one on every worker.

    Raises:
        QualityGate: All checkpoints are damaged.
        BadInput: The newest checkpoint is of another model.
    """
    images_seen = workers.broadcast_first(_newest(checkpoints) if workers.is_first else 0)
    if images_seen == DAMAGED:
        checkpoints.newest()  # raises the reason
    if images_seen:
        try:
            state.load(checkpoints.path(images_seen))
        except ValueError as error:
            raise BadInput(f"{error}; remove {checkpoints.folder} to start over") from error


def _newest(checkpoints: Checkpoints) -> int:
    """Images seen by the newest checkpoint, 0 for none, or `DAMAGED`: a number to broadcast."""
    try:
        return checkpoints.newest() or 0
    except QualityGate:
        return DAMAGED


class RunFolder:
    """Writes a run's folder on worker 0; the other workers only check whether to stop.

    Args:
        folder: Folder of the run.
        name: Name of the stage, for the progress lines.
        config: Settings of the training.
        workers: The group of workers.
        images_seen: Progress at which the run starts.
        score_checkpoint: Scores the state after each checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        config: TrainingConfig,
        workers: Workers,
        images_seen: int,
        score_checkpoint: ScoreCheckpoint,
    ) -> None:
        self.folder, self.workers, self.score_checkpoint = folder, workers, score_checkpoint
        self.checkpoints, self.config = checkpoints_of(folder, config), config
        self.events = EventLog(folder / EVENTS, images_seen) if workers.is_first else None
        if workers.is_first:
            self.progress = Progress(name, config.total_images, done=images_seen)

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Record scalars, on worker 0; they already cover all workers."""
        if self.events is not None:
            self.events.metrics(metrics, images_seen)
            self.progress.advance(
                images_seen - self.progress.done, note=f"loss {metrics['loss']:.4f}"
            )

    def save(self, state: TrainState) -> None:
        """Start to write a checkpoint; training continues meanwhile."""
        if self.workers.is_first or state.is_sharded:  # each worker writes its own shards
            config = self.config
            marks = Marks(config.ema_lengths, config.batch_size, config.save_every_images)
            self.checkpoints.begin(state, marks)

    def score(self, state: TrainState) -> None:
        """Draw pictures of the current model, and record the score of its checkpoint. All workers
        take part."""
        score = self.score_checkpoint(state, self.events)
        if self.workers.is_first:
            self.checkpoints.record_score(state.images_seen, score)

    def lacks_score(self, images_seen: int) -> bool:
        """Whether a kill left the checkpoint at `images_seen` without its score; the same on every
        worker, which must all call this."""
        scored = not self.workers.is_first or is_scored(self.checkpoints.folder, images_seen)
        return not self.workers.broadcast_first(int(scored))

    def flush(self) -> None:
        """Wait until the last checkpoint is on disk."""
        self.checkpoints.flush()

    def save_failed(self) -> bool:
        """Whether the last checkpoint could not be written; `flush` then raises the reason."""
        return self.checkpoints.failed()

    def newest(self) -> str:
        """Path of the newest intact checkpoint, for a message."""
        with contextlib.suppress(Unavailable):
            self.checkpoints.flush()
        images_seen = self.checkpoints.newest()
        return str(self.checkpoints.path(images_seen)) if images_seen else "none yet"

    def stop_requested(self) -> bool:
        """Whether the file `stop` exists."""
        return (self.folder / STOP).exists()


def open_run(
    folder: Path,
    name: str,
    state: TrainState,
    config: TrainingConfig,
    workers: Workers,
    score_checkpoint: ScoreCheckpoint,
) -> RunFolder:
    """Open a run where it was left: `state` gets its newest checkpoint, if there is one.

    Every worker must call this. For the arguments see `RunFolder`.

    Raises:
        BadInput, QualityGate: As for `restore_newest`.
        Unavailable: The disk has too little room for the checkpoints to come.
    """
    checkpoints = checkpoints_of(folder, config)
    restore_newest(state, checkpoints, workers)
    check_disk_space(state, checkpoints, config, workers)
    return RunFolder(folder, name, config, workers, state.images_seen, score_checkpoint)
