"""A `Run` of the training loop that keeps nothing. Needs torch alone, as the GPU benchmark does."""

from pdm.training.loop.state import TrainState


class NoRun:
    """Logs nothing, saves nothing, and never stops; subclasses time or end the training."""

    def stop_requested(self) -> bool:
        return False

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        pass

    def save(self, state: TrainState) -> None:
        pass

    def score(self, state: TrainState) -> None:
        pass

    def lacks_score(self, images_seen: int) -> bool:
        return False

    def flush(self) -> None:
        pass

    def save_failed(self) -> bool:
        return False

    def newest(self) -> str:
        return "none is kept"
