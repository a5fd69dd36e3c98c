"""What a training stage is about to do, without doing it: restore a model, resume, or train.

Whoever runs the stages asks before the present model goes, and `prepare` does what was planned.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm import events
from pdm.config.fingerprint import neutral_settings
from pdm.counts import counted
from pdm.progress import as_clock
from pdm.training.checkpoints import finished
from pdm.training.checkpoints.earlier_runs import Config, earlier_runs
from pdm.training.checkpoints.folder import list_checkpoints
from pdm.training.checkpoints.run_folder import EVENTS
from pdm.training.checkpoints.run_record import RunRecord

RESTORE, RESUME, TRAIN = "restore", "resume", "train"
SPEED = "images_per_second"  # in the log of a run


@dataclass(frozen=True)
class Cost:
    """What the newest run of a stage has cost so far: progress in images, and seconds of training,
    without the time between a stop and a resume."""

    images: int
    seconds: float

    def __str__(self) -> str:
        return f"{as_clock(self.seconds)} for {counted(self.images, 'image')}"


@dataclass(frozen=True)
class TrainingPlan:
    """What a stage would do now.

    Args:
        stage: Of the pipeline.
        action: RESTORE the model of a finished run, RESUME from a checkpoint, or TRAIN from the
            start.
        total_images: Length of the training.
        images_seen: Where it starts.
        last: Cost of the newest run of this stage; None if none was logged.
        copy: Folder of the run that keeps a copy of the present model; None if there is none.
        copy_stays: Whether that run still has it when the new training has finished.
    """

    stage: str
    action: str
    total_images: int
    images_seen: int
    last: Cost | None
    copy: Path | None
    copy_stays: bool

    def __str__(self) -> str:
        total = counted(self.total_images, "image")
        if self.action == RESTORE:
            return f"{self.stage}: the model of a finished run is written again within seconds"
        cost = f"; the last run took {self.last}" if self.last else ""
        if self.action == RESUME:
            return f"{self.stage}: training resumes at {self.images_seen:,} of {total}{cost}"
        return f"{self.stage}: training from the start, {total}{cost}"

    def as_json(self) -> dict[str, Any]:
        """For programs: the action, the sentence, and what is known of the present model."""
        return {
            "action": self.action,
            "text": str(self),
            "last": str(self.last) if self.last else None,
            "last_seconds": self.last.seconds if self.last else None,
            "copy": str(self.copy / finished.MODEL) if self.copy else None,
            "copy_stays": self.copy_stays,
        }


def plan_training(runs: Path, record: RunRecord, config: Config, model: Path) -> TrainingPlan:
    """What the stage would do now. Nothing is written.

    Args:
        runs: Folder of the stage's runs.
        record: What the new run follows from.
        config: Its section of params.
        model: Where the stage writes its model; may be absent.
    """
    action, images_seen = _choose(runs / record.name, record, config)
    copy = finished.find_copy(runs, model)
    stays = copy is not None and finished.outlives_another(copy, config.training.keep_runs)
    total = config.training.total_images
    return TrainingPlan(record.stage, action, total, images_seen, _last_cost(runs), copy, stays)


def _choose(run: Path, record: RunRecord, config: Config) -> tuple[str, int]:
    """What is done, and where the run starts."""
    total = config.training.total_images
    if finished.is_sound(run):
        return RESTORE, total
    if own := list_checkpoints(run):
        return RESUME, own[-1]
    if not config.needs_length:
        for other in earlier_runs(run, record, neutral_settings(config)):
            if other.differs_in_length_only and (seen := other.newest_checkpoint(total)):
                return RESUME, seen
    return TRAIN, 0


def _last_cost(runs: Path) -> Cost | None:
    logs = sorted(runs.glob(f"*/{EVENTS}"), key=lambda log: log.stat().st_mtime, reverse=True)
    return next(_costs(logs), None)


def _costs(logs: list[Path]) -> Iterator[Cost]:
    for log in logs:
        images, seconds = 0, 0.0
        for event in events.read(log):
            speed = event.get("values", {}).get(SPEED)
            if speed:
                seconds += (event["images_seen"] - images) / speed
                images = event["images_seen"]
        if images:
            yield Cost(images, seconds)
