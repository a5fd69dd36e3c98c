"""What a launching process does while its workers train: it forwards their log and SIGTERM, and
notices a lost cluster."""

import logging
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pdm.errors import Unavailable
from pdm.machine.cluster import Head
from pdm.training.checkpoints.run_folder import LOG, STOP

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.2  # polling interval of the workers' log


def watch(fitted: "Future[Any]", run: Path) -> None:
    """Forward the workers' log lines until they have ended.

    Args:
        fitted: Done when the workers have ended.
        run: The run's folder, with their log.

    Raises:
        Unavailable: The cluster has lost its head. The workers are asked to stop.
    """
    with (run / LOG).open(encoding="utf-8") as lines:
        head = Head()
        while not fitted.done():
            _forward_lines(lines)
            wait([fitted], timeout=SECONDS_BETWEEN_LOOKS)
            if head.is_lost():
                (run / STOP).touch()  # nothing else can reach workers on other machines
                raise Unavailable(
                    f"the head of the Ray cluster ({head.address}) no longer answers; run "
                    "the same command again, on a working cluster, to resume from the newest "
                    "checkpoint"
                )
        _forward_lines(lines)


def _forward_lines(lines: TextIO) -> None:
    for line in lines:
        logger.info(line.rstrip("\n"))


@contextmanager
def stop_on_sigterm(request: Path) -> Iterator[None]:
    """Let SIGTERM ask the workers to stop, instead of ending this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, frame: object) -> None:
        request.touch()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
