"""What the training loop needs from its caller: data to train on, and a run to report to."""

from typing import Protocol

from pdm.training.loop.prefetch import Batch
from pdm.training.loop.state import TrainState


class Run(Protocol):
    """Receives the reports of a training run."""

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Record scalars against progress in images."""

    def save(self, state: TrainState) -> None:
        """Start to write a checkpoint that `train` can resume from."""

    def score(self, state: TrainState) -> None:
        """Score the state of the last `save`."""

    def lacks_score(self, images_seen: int) -> bool:
        """Whether an earlier process ended between `save` and the end of `score`."""

    def flush(self) -> None:
        """Wait until the last checkpoint is written. Raises `Unavailable` if it cannot be
        written."""

    def save_failed(self) -> bool:
        """Whether the last write is already known to have failed, so that `flush` would raise."""

    def newest(self) -> str:
        """Name of the newest checkpoint, for a message."""

    def stop_requested(self) -> bool:
        """Whether the run should save a checkpoint and end early."""


class Data(Protocol):
    """The endless sequence of training images, by position."""

    def load(self, positions: range) -> Batch:
        """Load the network's inputs, on the CPU; all randomness in them follows from the
        positions."""

    def keys(self, positions: range) -> list[str]:
        """Names of the images, for a message."""
