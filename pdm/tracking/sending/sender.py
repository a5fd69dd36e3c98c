"""Sends a record from a thread of its own, so that no outage slows the work that it is about."""

import json
import logging
import threading
import time
from pathlib import Path

from pdm.tracking.connection.address import is_local, reason, shown_address
from pdm.tracking.records.facts import machine
from pdm.tracking.records.record import SYSTEM, Record
from pdm.tracking.sending.store import Store

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_SAMPLES = 10.0  # of the machine
LONGEST_PAUSE_SECONDS = 60.0  # between tries while MLflow is away
SECONDS_TO_END = 10.0
SECONDS_TO_END_LOCALLY = 60.0  # making a new database takes a cold, busy machine so long


class Sender:
    """Follows a record until it is closed."""

    def __init__(self, record: Record, folder: Path) -> None:
        self._record, self._folder = record, folder
        self._ending = threading.Event()
        self._warned = False
        self._last_sample = 0.0
        self._thread = threading.Thread(target=self._follow, name="tracking", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what is left, for a bounded time, and say so if something stays behind."""
        self._ending.set()
        self._thread.join(SECONDS_TO_END_LOCALLY if is_local() else SECONDS_TO_END)
        if self._thread.is_alive() or not self._record.is_complete(self._folder):
            self._warn("no answer in time")

    def _follow(self) -> None:
        store: Store | None = None
        pause = SECONDS_BETWEEN_LOOKS
        while True:
            last = self._ending.is_set()
            try:
                self._sample()
                store = store or Store()
                store.send(self._record, self._folder)
                pause = SECONDS_BETWEEN_LOOKS
            except Exception as error:  # noqa: BLE001 - telemetry never ends the work
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self._warn(reason(error))
            if last:
                return
            self._ending.wait(pause)

    def _sample(self) -> None:
        now = time.time()
        if now - self._last_sample < SECONDS_BETWEEN_SAMPLES:
            return
        self._last_sample = now
        # MLflow's own counter of such samples starts at 0 too; ours goes on after a resume.
        step = round(now - self._record.began)
        line = {"kind": "metrics", "images_seen": step, "seconds": now, "values": machine()}
        with (self._folder / SYSTEM).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _warn(self, why: str) -> None:
        if self._warned:
            return
        self._warned = True
        logger.warning(
            "MLflow at %s cannot be reached (%s). The work goes on; the log lines are kept in %s, "
            "and `pyramid sync` sends them later.",
            shown_address(),
            why,
            self._folder,
        )
