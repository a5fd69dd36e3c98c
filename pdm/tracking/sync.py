"""Sends runs to MLflow later, if they could not be sent at the time."""

import logging
from dataclasses import dataclass
from pathlib import Path

import psutil

from pdm.counts import counted
from pdm.errors import BadInput, Unavailable
from pdm.tracking.connection.address import shown_address
from pdm.tracking.connection.faults import reason
from pdm.tracking.records.kept_files import drop_kept_files
from pdm.tracking.records.record import KILLED, RUNNING, Record
from pdm.tracking.records.run_log import RunLog
from pdm.tracking.registry.promotion import PROMOTED
from pdm.tracking.sending.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that MLflow does not have completely."""

    folder: Path
    record: Record
    log: RunLog


def sync(runs: Path) -> str:
    """Send everything that MLflow lacks of the runs below `runs`; safe to repeat.

    Returns:
        A sentence that says what was sent.

    Raises:
        BadInput: There is no such folder.
        Unavailable: MLflow cannot be reached, or refuses a part of some runs; the others are sent
            nevertheless.
    """
    if not runs.is_dir():
        raise BadInput(
            f"{runs} is not a folder of runs; name one with --runs, or run a stage first"
        )
    waiting = _waiting(runs)
    if not waiting:
        return f"nothing to send: MLflow has everything below {runs}"
    store = _connect(runs)
    num_points, refusals = 0, []
    for run in waiting:
        sent, faults = _send(store, run, runs)
        num_points += sent
        if faults:
            refusals.append(f"{run.folder}: {'; '.join(faults)}")
        else:
            drop_kept_files(run.folder)
    num_complete = len(waiting) - len(refusals)
    points = counted(num_points, "point")
    sentence = f"sent {points} of {counted(num_complete, 'run')} to {shown_address()}"
    if refusals:
        raise Unavailable(
            f"{sentence}; it refused a part of {len(refusals)} more, which stays in {runs}:\n  "
            + "\n  ".join(refusals)
        )
    return sentence


def report_promotion(record: Record) -> None:
    """Log whether the run's model became the champion, and why.

    The line begins with `registry: `, by which the summary of a pipeline run finds it.
    """
    decision = record.sent.promotion
    if not decision:
        logger.warning(
            "registry: `pyramid sync` decides whether this model is the champion, once MLflow at "
            "%s has all of this run",
            shown_address(),
        )
    elif decision["outcome"] == PROMOTED:
        version, why = decision["version"], decision["reason"]
        logger.info("registry: version %s is the champion: %s", version, why)
    else:
        logger.info("registry: not promoted: %s", decision["reason"])


def _waiting(runs: Path) -> list[Waiting]:
    """List all incomplete runs, except those still running, which send by themselves."""
    waiting = []
    for path in sorted(runs.glob("*/*/tracking.json")):
        record = Record.load(path.parent)
        if record is None or (record.status == RUNNING and psutil.pid_exists(record.process)):
            continue
        log = RunLog(path.parent, record.began)
        if not record.is_complete or record.status == RUNNING or log.unsent(record.sent):
            waiting.append(Waiting(path.parent, record, log))
    return waiting


def _connect(runs: Path) -> Store:
    try:
        return Store()
    except Exception as error:
        raise _unavailable(runs, error) from error


def _send(store: Store, run: Waiting, runs: Path) -> tuple[int, list[str]]:
    """Send a run; return the number of points that arrived, and what was refused."""
    record = run.record
    if record.status == RUNNING:  # its process was killed
        record.end(KILLED)
    undecided = record.awaits_promotion
    try:
        delivery = store.send(record, run.folder, run.log)
    except Exception as error:
        if not store.answers():
            raise _unavailable(runs, error) from error
        return 0, [reason(error)]
    if undecided:
        report_promotion(record)
    return delivery.num_points, [
        f"{refusal.part} ({refusal.reason})" for refusal in delivery.refusals
    ]


def _unavailable(runs: Path, error: Exception) -> Unavailable:
    return Unavailable(
        f"MLflow at {shown_address()} cannot be reached ({reason(error)}); the log lines stay in "
        f"{runs}. Try again when it is available"
    )
