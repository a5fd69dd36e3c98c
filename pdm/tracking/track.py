"""Logs training and evaluation to MLflow. Best effort: an outage neither slows nor ends the work.

A run first logs to files in its folder (`events.jsonl`, `tracking.json`). They are sent to MLflow
from there: to MLFLOW_TRACKING_URI, or `sqlite:///mlflow.db`. Each run is a child of a pipeline run:
that of the flow that started it, or, for a stage run by hand, the one with the same params.yaml.
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pdm.config.fingerprint import fingerprint
from pdm.data.shards import manifest
from pdm.errors import Preempted
from pdm.tracking.records import costs, facts
from pdm.tracking.records.kept_files import folder_of_record, keep_files
from pdm.tracking.records.record import FAILED, FINISHED, KILLED, RUNNING, Record
from pdm.tracking.sending.sender import Sender
from pdm.tracking.sync import report_promotion

logger = logging.getLogger(__name__)


class Tracked:
    """The run of a stage, to add things to while `track` is open."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def log_model(self, folder: Path) -> None:
        """Log a finished model's folder, with its facts and its cost."""
        self._record.model = str(folder)
        tags = facts.model_tags(folder) | facts.listing_tags(folder)
        self._record.tags = self._record.tags | tags
        self._record.costs = self._record.costs | costs.of_model(folder)

    def log_scores(self, scores: Mapping[str, Any]) -> None:
        """Log numbers, nested ones as `outer/inner`. Values that are not finite are only listed by
        name."""
        numbers = _numbers(scores)
        lost = sorted(name for name, value in numbers.items() if not math.isfinite(value))
        self._record.name_nonfinite(lost)
        self._record.scores = {n: value for n, value in numbers.items() if n not in lost}

    def log_pictures(self, *paths: Path) -> None:
        """Log picture files, or all files of folders."""
        self._record.pictures = [str(path) for path in paths]

    def log_samples(self, folder: Path) -> None:
        """Log the first pictures of a folder of samples, and the models that drew them."""
        self._record.samples = str(folder)
        self._record.tags = self._record.tags | facts.sample_tags(folder)

    def register_candidate(self, autoencoder: Path, diffusion: Path) -> None:
        """Register both networks as one model once everything else is sent, and promote it to
        champion if it is better. Requires `log_samples` of samples drawn by them."""
        folders = {"autoencoder": autoencoder, "diffusion": diffusion}
        digests = {stage: self._record.tags.get(f"pyramid.{stage}.sha256", "") for stage in folders}
        for stage, folder in folders.items():
            if facts.model_tags(folder).get("pyramid.model.sha256") != digests[stage]:
                logger.warning(
                    "registry: not registered: the samples were not drawn by %s; sample again",
                    folder,
                )
                return
        paths = {stage: str(folder) for stage, folder in folders.items()}
        self._record.candidate = paths | {f"{stage}_sha256": digests[stage] for stage in folders}


@contextmanager
def track(
    stage: str, config: Any, *, events: Path | None = None, data: Path | None = None
) -> Iterator[Tracked]:
    """Track the work of the block. An interrupted and resumed run stays one run.

    Args:
        stage: Name of the stage.
        config: Its section of params, logged under flat names.
        events: Log that the work writes (`pdm.events`); its folder is the run's folder. If None,
            the folder is `runs/<stage>/<fingerprint>/`.
        data: Folder of the input data, with a manifest.
    """
    parent = facts.pipeline_run()
    digest = _digest(data)
    folder = events.parent if events else _folder(stage, config, digest, parent)
    home = folder_of_record(stage, folder)
    for each in (folder, home):
        each.mkdir(parents=True, exist_ok=True)
    record = _open(home, stage, config, parent, data, digest)
    sender = Sender(record, home, folder)
    meter = costs.Meter()
    try:
        yield Tracked(record)
    except (Preempted, KeyboardInterrupt, SystemExit):
        meter.add_to(record, folder)
        record.end(KILLED)
        raise
    except BaseException:
        meter.add_to(record, folder)
        record.end(FAILED)
        raise
    else:
        meter.add_to(record, folder)
        record.end(FINISHED)
    finally:
        record.save(home)
        if not sender.close():
            keep_files(record, home, folder)
        if record.candidate:
            report_promotion(record)


def _open(
    folder: Path, stage: str, config: Any, parent: str, data: Path | None, digest: str
) -> Record:
    """Load the folder's record if its run is still open; otherwise make a new one."""
    record = Record.load(folder)
    if record is not None and record.is_open:
        record.status, record.ended, record.process = RUNNING, 0.0, os.getpid()
    else:
        dataset = facts.dataset(data, digest) if data and digest else {}
        tags = facts.tags() | ({"pyramid.data.sha256": digest} if digest else {})
        record = Record(
            stage=stage,
            parent=parent,
            params=facts.flat(config),
            tags=tags,
            data=dataset,
            settings=facts.pipeline_settings(stage, config),
            began=time.time(),
            process=os.getpid(),
        )
    record.save(folder)
    return record


def _folder(stage: str, config: Any, digest: str, parent: str) -> Path:
    return Path("runs") / stage / fingerprint(config, digest, parent)


def _digest(data: Path | None) -> str:
    try:
        return manifest.digest(data) if data else ""
    except OSError:  # the stage itself reports bad input
        return ""


def _numbers(value: Any, name: str = "") -> dict[str, float]:
    if isinstance(value, Mapping):
        parts = [
            _numbers(below, f"{name}/{key}" if name else str(key)) for key, below in value.items()
        ]
        return {key: number for part in parts for key, number in part.items()}
    return {name: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}
