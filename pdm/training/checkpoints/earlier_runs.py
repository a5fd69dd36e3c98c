"""Earlier runs of a stage: one that a new run goes on from, and those that it leaves behind.

Where nothing depends on `total_images`, a run goes on from the newest checkpoint of one that was to
be shorter or longer, and ends with the bits of a run that had its length from the start. Each keeps
a folder of its own, so that the shorter one is still there when the number is set back.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pdm import ema, events
from pdm.config.common import TrainingConfig, neutral_settings
from pdm.files import atomic_file, atomic_folder
from pdm.training.checkpoints import finished
from pdm.training.checkpoints.folder import numbers_of
from pdm.training.checkpoints.run_folder import EMA_SNAPSHOTS, EVENTS
from pdm.training.checkpoints.run_record import Difference, RunRecord, in_words
from pdm.training.checkpoints.snapshots import CHECKPOINTS
from pdm.training.loop.state import check_checkpoint

logger = logging.getLogger(__name__)

LENGTH = "training.total_images"


@dataclass(frozen=True)
class EarlierRun:
    """Another run of the same stage.

    Args:
        folder: Its own.
        images_seen: How far it came; 0 if neither its checkpoints nor its model are kept.
        checkpoints: Images seen by each, oldest first; they may be damaged.
        is_finished: Whether its model is kept.
        differences: Between it and the new run.
    """

    folder: Path
    images_seen: int
    checkpoints: list[int]
    is_finished: bool
    differences: list[Difference]

    @property
    def differs_in_length_alone(self) -> bool:
        """Whether the two are the same training, until the shorter one ends."""
        return [one.name for one in self.differences] == [LENGTH]

    def newest_checkpoint(self, total_images: int) -> int | None:
        """The one that a run of that length can resume from; None if all have seen more."""
        return max((seen for seen in self.checkpoints if seen <= total_images), default=None)

    def __str__(self) -> str:
        differs = f"it differs in {in_words(self.differences)}"
        if not self.images_seen:
            return f"{self.folder.name} is no longer kept; {differs}"
        done = "finished" if self.is_finished else "stopped"
        return f"{self.folder.name} {done} at {self.images_seen:,} images; {differs}"


class Config(Protocol):
    """A section of params that trains."""

    @property
    def training(self) -> TrainingConfig:
        """How it is trained."""

    @property
    def needs_length(self) -> str:
        """What makes a run depend on `total_images` from its first step; empty if nothing does."""


def prepare(run: Path, record: RunRecord, config: Config) -> None:
    """Write a run's record before it trains. A new one takes over a checkpoint of a run that
    differs in `total_images` alone, or the log says which runs it leaves behind, and why.
    `plan_training` says beforehand what this will do.

    Args:
        run: Its folder, which may not be there yet.
        record: What it follows from.
        config: Its section of params.
    """
    if numbers_of(run):
        record.save(run)
        return
    was_there = RunRecord.load(run) is not None
    record.save(run)
    needs_length, total = config.needs_length, config.training.total_images
    found = earlier_runs(run, record, neutral_settings(config))
    same = [one for one in found if one.differs_in_length_alone and not needs_length]
    if any(_take_over(one, run, record.stage, total) for one in same):
        return
    if was_there:
        logger.info(
            "%s: run %s of these settings keeps neither its model nor a checkpoint; training from "
            "the start",
            record.stage,
            run.name,
        )
    for other in _nearest(found):
        logger.info("%s: run %s; %s", record.stage, other, _ending(other, needs_length))


def earlier_runs(run: Path, record: RunRecord, neutral: Mapping[str, Any]) -> list[EarlierRun]:
    """Those beside the run, the most similar and then the newest first."""
    found = []
    for folder in run.parent.glob("*"):
        old = RunRecord.load(folder)
        if folder == run or old is None or old.stage != record.stage:
            continue
        checkpoints, end = numbers_of(folder), finished.images_seen(folder)
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


def _ending(other: EarlierRun, needs_length: str) -> str:
    """What becomes of the two runs."""
    if not other.images_seen:
        return "training from the start"
    reason = ""
    if other.differs_in_length_alone:
        depends = f"{needs_length} depends on it; "
        reason = depends if needs_length else "it has no checkpoint so early; "
    if not other.is_finished:
        return f"{reason}starting over"
    return (
        f"{reason}training from the start. With its settings, its model is written again within "
        f"seconds, from {other.folder}"
    )


def _take_over(other: EarlierRun, run: Path, stage: str, total_images: int) -> bool:
    """Begin the run with the newest sound checkpoint of another that is not too far on."""
    for images_seen in sorted(other.checkpoints, reverse=True):
        folder = other.folder / CHECKPOINTS / f"{images_seen:09}"
        if images_seen > total_images or not _is_sound(folder):
            continue
        try:
            _link_history(other.folder, run, images_seen)
            _link_folder(folder, run / CHECKPOINTS / folder.name)  # last: with it the run exists
        except FileNotFoundError:  # removed meanwhile, by a run that is at work there
            continue
        logger.info(
            "%s: resumes from run %s, at %s images; only %s",
            stage,
            other.folder.name,
            f"{images_seen:,}",
            f"{in_words(other.differences)} differs",
        )
        return True
    return False


def _is_sound(checkpoint: Path) -> bool:
    try:
        check_checkpoint(checkpoint)
    except ValueError as error:
        logger.warning("passing over a checkpoint: %s", error)
        return False
    return True


def _link_history(old: Path, run: Path, images_seen: int) -> None:
    """Events, their pictures, and EMA snapshots until then."""
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
        for file in old.iterdir():
            _link(file, temporary / file.name)


def _link(old: Path, new: Path) -> None:
    """The same file under another name: what a run has written once, nobody changes."""
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(old, new)
