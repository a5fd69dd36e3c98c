"""A training run's folder on disk: events, checkpoints, pictures, and the request to stop.

events.jsonl     see pdm.events; written by worker 0
checkpoints/     see pdm.training.checkpoints; removed when the model has been written
pictures/        what the trainer draws after each checkpoint
training.log     what worker 0 says
stop             exists while somebody wants the run to end early
"""

from collections.abc import Callable
from pathlib import Path

from pdm.config.common import TrainingConfig
from pdm.events import EventLog
from pdm.progress import Progress
from pdm.training.checkpoints import Checkpoints
from pdm.training.state import TrainState
from pdm.training.workers import Workers

EVENTS = "events.jsonl"
STOP = "stop"
LOG = "training.log"


def checkpoints_of(folder: Path, config: TrainingConfig) -> Checkpoints:
    """The checkpoints of the run in this folder."""
    return Checkpoints(folder / "checkpoints", config.keep_checkpoints)


def restore(state: TrainState, checkpoints: Checkpoints, workers: Workers) -> None:
    """Bring the state to the newest whole checkpoint, the same one on every worker, if any."""
    newest = checkpoints.newest() if workers.is_first else None
    images_seen = workers.first(newest or 0)
    if images_seen:
        state.load(checkpoints.path(images_seen))


class RunFolder:
    """Writes a run's folder, on worker 0; the other workers only ask whether to stop.

    Args:
        folder: The run's.
        name: Of the stage, for the progress lines.
        config: Of the training.
        workers: The group.
        images_seen: Where the run starts.
        draw: Called with the state and the event log after each checkpoint, on worker 0.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        config: TrainingConfig,
        workers: Workers,
        images_seen: int,
        draw: Callable[[TrainState, EventLog], None],
    ) -> None:
        self.folder, self.workers, self.draw = folder, workers, draw
        self.checkpoints = checkpoints_of(folder, config)
        if workers.is_first:
            self.events = EventLog(folder / EVENTS, images_seen)
            self.progress = Progress(name, config.total_images, done=images_seen)

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Record scalars; worker 0's are those of all."""
        if self.workers.is_first:
            self.events.metrics(metrics, images_seen)
            self.progress.advance(
                images_seen - self.progress.done, note=f"loss {metrics['loss']:.4f}"
            )

    def save(self, state: TrainState) -> None:
        """Keep a checkpoint and draw how far the model has come."""
        if self.workers.is_first:
            self.checkpoints.save(state)
            self.draw(state, self.events)

    def newest(self) -> str:
        """Path of the newest whole checkpoint."""
        images_seen = self.checkpoints.newest()
        return str(self.checkpoints.path(images_seen)) if images_seen else "none yet"

    def stop_requested(self) -> bool:
        """Whether the file `stop` exists."""
        return (self.folder / STOP).exists()
