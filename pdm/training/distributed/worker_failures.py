"""Expected errors of a training's workers, as files that all of them and their launcher read."""

import json
import time
from pathlib import Path

from pdm.files import write_json

Failure = tuple[str, str]  # class and text of an expected error

FAILED = "failed"  # inside a run's folder: the error of each worker that failed
SECONDS_TO_FAIL = 5.0  # time for all workers to fail after they have agreed to
SECONDS_BETWEEN_LOOKS = 0.2


def report_failure(run: Path, rank: int, failure: Failure) -> None:
    """Let the other workers of a run know that this one has failed."""
    write_json(run / FAILED / str(rank), failure)


def first_failure(run: Path) -> Failure | None:
    """Return the failure of the first worker that has one."""
    for path in sorted((run / FAILED).glob("[0-9]*")):
        kind, message = json.loads(path.read_text(encoding="utf-8"))
        return kind, message
    return None


def wait_until_all_failed(run: Path, count: int) -> bool:
    """Wait until all workers have failed, as they do after agreeing to; return whether they
    have."""
    end = time.monotonic() + SECONDS_TO_FAIL
    while len(list((run / FAILED).glob("[0-9]*"))) < count:
        if time.monotonic() > end:
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return True
