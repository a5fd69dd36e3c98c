"""Finished runs: their model, and their last and best checkpoint.

The model is in `<run>/model/`. `finished.json`, written last, has the sha256 of its files. A stage
that runs again, because its code changed or its output is gone, copies that model instead of
training. The bytes are the same, so later stages stay up to date.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from pdm.config.training.loop import TrainingConfig
from pdm.counts import counted
from pdm.files import atomic_folder, sha256_of, write_json
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.checkpoints.run_folder import EVENTS
from pdm.training.checkpoints.snapshots import CHECKPOINTS
from pdm.training.distributed.launchers import is_first_process
from pdm.training.monitoring.curves import write_curves
from pdm.weights import FEW_STEPS

logger = logging.getLogger(__name__)

FILE_NAME = "finished.json"
MODEL = "model"
WEIGHTS = "model.safetensors"


def images_seen(run: Path) -> int | None:
    """Images seen by a finished run that still has its model; None for any other run."""
    record = _record(run)
    return record["images_seen"] if record else None


def find_copy(runs: Path, model: Path) -> Path | None:
    """The finished run that keeps the model which lies in another folder; None if there is none."""
    weights = model / WEIGHTS
    digest = sha256_of(weights) if weights.is_file() else None
    for run in _newest_first(runs):
        record = _record(run)
        if digest and record and record["files"].get(WEIGHTS) == digest:
            return run if (run / MODEL / WEIGHTS).is_file() else None
    return None


def outlives_another(run: Path, keep: int) -> bool:
    """Whether a finished run still keeps its model when one more run has finished."""
    return run in _newest_first(run.parent)[: max(0, keep - 1)]


def publish(run: Path, config: TrainingConfig, *, model: Path, curves: Path) -> None:
    """Finish a run that has written its model: mark it, write both outputs of its stage, and
    prune."""
    finish(run, config)
    export(run, model)
    write_curves(run / EVENTS, curves)
    prune(run.parent, config.keep_runs)


def finish(run: Path, config: TrainingConfig) -> None:
    """Mark a run as finished, and remove all checkpoints except the last, the best and those at
    multiples of `keep_every_images`."""
    files = _digests(run / MODEL)
    write_json(run / FILE_NAME, {"images_seen": config.total_images, "files": files})
    Checkpoints(run / CHECKPOINTS, 1, config.keep_every_images).remove_old()


def is_sound(run: Path) -> bool:
    """Whether the run has finished and keeps its model, unchanged since."""
    record = _record(run)
    return record is not None and _digests(run / MODEL) == record["files"]


def export(run: Path, model: Path) -> bool:
    """Copy a finished run's model to another folder, if it exists and is intact.

    Under `torchrun`, only the first process writes.
    """
    if _record(run) is None:
        return False
    if not is_sound(run):
        logger.warning("%s has changed since its run finished; ignoring it", run / MODEL)
        return False
    if is_first_process():
        with atomic_folder(model) as temporary:
            shutil.copytree(run / MODEL, temporary, dirs_exist_ok=True)
    return True


def export_instead_of_training(stage: str, run: Path, *, model: Path, curves: Path) -> bool:
    """Write model and curves of a run that has already finished, and log it.

    Returns:
        Whether the run had finished; if not, it must be trained.
    """
    if not export(run, model):
        return False
    if is_first_process():
        write_curves(run / EVENTS, curves)
    logger.info(
        "%s: nothing to train: run %s of these settings and data finished at %s; its model "
        "is in %s",
        stage,
        run.name,
        counted(images_seen(run) or 0, "image"),
        model,
    )
    return True


def prune(runs: Path, keep: int) -> None:
    """Remove models and checkpoints of all finished runs but the newest `keep`. Logs stay."""
    for run in _newest_first(runs)[keep:]:
        (run / FILE_NAME).unlink(missing_ok=True)  # first: the run is unfinished from here on
        for name in (CHECKPOINTS, MODEL, FEW_STEPS):
            shutil.rmtree(run / name, ignore_errors=True)
        logger.info("removed the checkpoints and the model of the older run %s", run)


def _newest_first(runs: Path) -> list[Path]:
    """Folders of the finished runs."""
    ended = {path.parent: path.stat().st_mtime_ns for path in runs.glob(f"*/{FILE_NAME}")}
    return sorted(ended, key=lambda run: -ended[run])


def _record(run: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((run / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"images_seen", "files"} <= found.keys() else None


def _digests(folder: Path) -> dict[str, str]:
    """sha256 by path within the folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(files)}
