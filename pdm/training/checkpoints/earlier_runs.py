"""Earlier runs of a stage: the one that a new run resumes from, and those that it does not use.

If nothing else depends on `total_images`, a run resumes from the newest checkpoint of a run that
differs in `total_images` only. It ends bit for bit like a run that had its length from the start.
Each run keeps its own folder, so the shorter one is still there when the number is set back.
"""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pdm import ema, events
from pdm.config.fingerprint import neutral_settings
from pdm.config.training.loop import TrainingConfig
from pdm.counts import counted
from pdm.files import atomic_file, atomic_folder
from pdm.training.checkpoints import finished
from pdm.training.checkpoints.folder import is_scored, list_checkpoints, record_scored
from pdm.training.checkpoints.run_folder import EMA_SNAPSHOTS, EVENTS
from pdm.training.checkpoints.run_record import Difference, RunRecord, format_differences
from pdm.training.checkpoints.snapshots import CHECKPOINTS
from pdm.training.loop.state import check_checkpoint

logger = logging.getLogger(__name__)

LENGTH_SETTING = "training.total_images"


@dataclass(frozen=True)
class EarlierRun:
    """Another run of the same stage.

    Args:
        folder: Folder of the run.
        images_seen: How far it came; 0 if neither its checkpoints nor its model are kept.
        checkpoints: Images seen by each checkpoint, oldest first; some may be damaged.
        is_finished: Whether its model still exists.
        differences: Differences between it and the new run.
    """

    folder: Path
    images_seen: int
    checkpoints: list[int]
    is_finished: bool
    differences: list[Difference]

    @property
    def differs_in_length_only(self) -> bool:
        """Whether only `total_images` differs, so that both train alike until the shorter one
        ends."""
        return [one.name for one in self.differences] == [LENGTH_SETTING]

    def newest_checkpoint(self, total_images: int) -> int | None:
        """The one that a run of that length can resume from; None if all have seen more."""
        return max((seen for seen in self.checkpoints if seen <= total_images), default=None)

    def __str__(self) -> str:
        differs = f"it differs in {format_differences(self.differences)}"
        if not self.images_seen:
            return f"{self.folder.name} is no longer kept; {differs}"
        done = "finished" if self.is_finished else "stopped"
        return f"{self.folder.name} {done} at {counted(self.images_seen, 'image')}; {differs}"


class Config(Protocol):
    """A section of params of a training."""

    @property
    def training(self) -> TrainingConfig:
        """Settings of the training."""

    @property
    def needs_length(self) -> str:
        """The setting that makes every step depend on `total_images`; empty if there is none."""


def prepare(run: Path, record: RunRecord, config: Config) -> None:
    """Write a run's record before it trains. A new run takes over a checkpoint of a run that
    differs in `total_images` only. Otherwise the log names the earlier runs that are not used, and
    why. `plan_training` says beforehand what this will do.

    Args:
        run: Folder of the run; may not exist yet.
        record: Everything that determines the run.
        config: Section of params of the run.
    """
    if list_checkpoints(run):
        record.save(run)
        return
    was_there = RunRecord.load(run) is not None
    record.save(run)
    needs_length = config.needs_length
    found = earlier_runs(run, record, neutral_settings(config))
    same = [one for one in found if one.differs_in_length_only and not needs_length]
    if any(_take_over(one, run, record.stage, config.training) for one in same):
        return
    if was_there:
        logger.info(
            "%s: run %s of these settings keeps neither its model nor a checkpoint; training from "
            "the start",
            record.stage,
            run.name,
        )
    for other in _nearest(found):
        logger.info("%s: run %s; %s", record.stage, other, _explain_start(other, needs_length))


def earlier_runs(run: Path, record: RunRecord, neutral: Mapping[str, Any]) -> list[EarlierRun]:
    """List the other runs of the stage, most similar first, then newest first."""
    found = []
    for folder in run.parent.glob("*"):
        old = RunRecord.load(folder)
        if folder == run or old is None or old.stage != record.stage:
            continue
        checkpoints, end = list_checkpoints(folder), finished.images_seen(folder)
        images_seen = end or max(checkpoints, default=0)
        differences = record.differences(old, neutral)
        found.append(EarlierRun(folder, images_seen, checkpoints, end is not None, differences))
    return sorted(found, key=lambda one: (len(one.differences), -one.folder.stat().st_mtime))


def _nearest(found: list[EarlierRun]) -> list[EarlierRun]:
    """The most similar run that stopped, and the most similar one that finished. If no run keeps
    anything, the most similar one: it shows what differs."""
    kept = [one for one in found if one.images_seen]
    stopped = [one for one in kept if not one.is_finished]
    ended = [one for one in kept if one.is_finished]
    return [*stopped[:1], *ended[:1]] or found[:1]


def _explain_start(other: EarlierRun, needs_length: str) -> str:
    """Say how the new run starts, and why."""
    if not other.images_seen:
        return "training from the start"
    reason = ""
    if other.differs_in_length_only:
        depends = f"{needs_length} depends on it; "
        reason = depends if needs_length else "it has no checkpoint that early; "
    if not other.is_finished:
        return f"{reason}starting over"
    return (
        f"{reason}training from the start. With its old settings, its model is exported again in "
        f"seconds from {other.folder}"
    )


def _take_over(other: EarlierRun, run: Path, stage: str, training: TrainingConfig) -> bool:
    """Start the run with another's newest intact checkpoint before `total_images`, if there is
    one, and with the older ones at multiples of `keep_every_images`."""
    for images_seen in sorted(other.checkpoints, reverse=True):
        folder = other.folder / CHECKPOINTS / f"{images_seen:09}"
        if images_seen > training.total_images or not _is_intact(folder):
            continue
        try:
            _link_history(other.folder, run, images_seen)
            if is_scored(other.folder / CHECKPOINTS, images_seen):
                record_scored(run / CHECKPOINTS, images_seen)
            _link_folder(folder, run / CHECKPOINTS / folder.name)  # last: it makes the run exist
        except FileNotFoundError:  # a running training has removed it meanwhile
            continue
        _link_kept(other, run, images_seen, training.keep_every_images)
        logger.info(
            "%s: resuming from run %s at %s; only %s",
            stage,
            other.folder.name,
            counted(images_seen, "image"),
            f"{format_differences(other.differences)} differs",
        )
        return True
    return False


def _link_kept(other: EarlierRun, run: Path, before: int, keep_every: int | None) -> None:
    """Link the checkpoints that the run, had it trained from the start, would have kept."""
    for images_seen in other.checkpoints:
        if keep_every is not None and images_seen < before and images_seen % keep_every == 0:
            name = f"{images_seen:09}"
            with contextlib.suppress(FileNotFoundError):  # a running training has removed it
                _link_folder(other.folder / CHECKPOINTS / name, run / CHECKPOINTS / name)


def _is_intact(checkpoint: Path) -> bool:
    try:
        check_checkpoint(checkpoint)
    except ValueError as error:
        logger.warning("skipping a damaged checkpoint: %s", error)
        return False
    return True


def _link_history(old: Path, run: Path, images_seen: int) -> None:
    """Link events, pictures and EMA snapshots up to that point."""
    kept = [event for event in events.read(old / EVENTS) if event["images_seen"] <= images_seen]
    for event in kept:
        if event["kind"] == "picture" and (old / event["path"]).is_file():
            _link(old / event["path"], run / event["path"])
    for one in ema.snapshots_in(old / EMA_SNAPSHOTS):
        if one.images_seen <= images_seen:
            _link(one.path, run / EMA_SNAPSHOTS / one.path.name)
    with atomic_file(run / EVENTS) as temporary:
        temporary.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")


def _link_folder(old: Path, new: Path) -> None:
    with atomic_folder(new) as temporary:
        for file in old.rglob("*"):
            if file.is_file():
                _link(file, temporary / file.relative_to(old))


def _link(old: Path, new: Path) -> None:
    """Hard-link a file, since files of a run never change once written."""
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(old, new)
