"""Sends a record from a separate thread, so that an outage does not slow the tracked work."""

import json
import logging
import threading
import time
from pathlib import Path

from pdm.tracking.connection.address import is_local, shown_address
from pdm.tracking.connection.faults import is_outage, reason
from pdm.tracking.records.facts import machine
from pdm.tracking.records.record import Record
from pdm.tracking.records.run_log import SYSTEM, RunLog
from pdm.tracking.sending.delivery import FILES, REGISTRATION, Delivery
from pdm.tracking.sending.store import Store

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_BETWEEN_SAMPLES = 10.0  # of the machine
LONGEST_PAUSE_SECONDS = 60.0  # between tries while MLflow is away
SECONDS_TO_END = 10.0
SECONDS_TO_END_LOCALLY = 60.0  # creating a new database can take this long on a busy machine
AWAY, RUN = "away", "run"
# Text of the warnings, by what did not arrive.
WARNINGS = {
    AWAY: "MLflow at %s cannot be reached (%s). The work continues; the log lines are kept in %s, "
    "and `pyramid sync` sends them later.",
    RUN: "MLflow at %s does not accept this run (%s). The work continues; the log lines are kept "
    "in %s, and `pyramid sync` tries again.",
    FILES: "The artifact store of MLflow at %s cannot be written (%s). Status, params and metrics "
    "are sent; the files are kept in %s for `pyramid sync`.",
    REGISTRATION: "MLflow at %s did not register the model (%s). The rest of the run is sent; "
    "`pyramid sync` registers it from %s.",
}
REFUSED = (
    "MLflow at %s refused {part} of this run (%s). The rest is sent; the refused part is kept in "
    "%s, and `pyramid sync` tries again."
)


class Sender:
    """Sends a record repeatedly, until it is closed.

    Args:
        record: Record to send.
        folder: Folder of the record.
        logs: Folder of its logs.
    """

    def __init__(self, record: Record, folder: Path, logs: Path) -> None:
        self._record, self._folder = record, folder
        self._log = RunLog(logs, record.began)
        self._ending = threading.Event()
        self._complete = threading.Event()
        self._warned: set[str] = set()
        self._last_sample = 0.0
        self._thread = threading.Thread(target=self._follow, name="tracking", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Send the rest, for a bounded time, and warn if something could not be sent.

        Returns:
            Whether everything has arrived.
        """
        self._ending.set()
        self._thread.join(SECONDS_TO_END_LOCALLY if is_local() else SECONDS_TO_END)
        if not (self._complete.is_set() or self._warned):
            self._warn(AWAY, "no answer in time")
        return self._complete.is_set()

    def _follow(self) -> None:
        store: Store | None = None
        pause = SECONDS_BETWEEN_LOOKS
        while True:
            last = self._ending.is_set()
            try:
                self._sample()
                store = store or Store()
                delivery = store.send(self._record, self._folder, self._log)
                self._warn_of_refusals(delivery)
                pause = self._next_pause(pause, failed=bool(delivery.refusals))
                if last and self._record.is_complete and not delivery.refusals:
                    self._complete.set()
            except Exception as error:  # noqa: BLE001 - telemetry never ends the work
                pause = self._next_pause(pause, failed=True)
                self._warn(AWAY if is_outage(error) else RUN, reason(error))
            if last:
                return
            self._ending.wait(pause)

    def _next_pause(self, pause: float, *, failed: bool) -> float:
        return min(2 * pause, LONGEST_PAUSE_SECONDS) if failed else SECONDS_BETWEEN_LOOKS

    def _sample(self) -> None:
        now = time.time()
        if now - self._last_sample < SECONDS_BETWEEN_SAMPLES:
            return
        self._last_sample = now
        # Like MLflow's own counter of samples it starts at 0, but it continues after a resume.
        step = round(now - self._record.began)
        line = {"kind": "metrics", "images_seen": step, "seconds": now, "values": machine()}
        with (self._log.folder / SYSTEM).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _warn_of_refusals(self, delivery: Delivery) -> None:
        for refusal in delivery.refusals:
            self._warn(refusal.part, refusal.reason)

    def _warn(self, what: str, why: str) -> None:
        """Warn once for each kind of fault."""
        if what in self._warned:
            return
        self._warned.add(what)
        text = WARNINGS.get(what, REFUSED.format(part=what))
        logger.warning(text, shown_address(), why, self._folder)
