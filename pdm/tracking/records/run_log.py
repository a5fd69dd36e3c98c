"""Follows the two logs of a run: its events, and the load of the machine.

Every line is read from disk once, so the total cost is proportional to the length of the logs. A
resumed run replaces its log by a shorter one, which is then read from the start.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from pdm import events
from pdm.tracking.records.record import Sent

EVENTS, SYSTEM = "events.jsonl", "system.jsonl"
Event = dict[str, Any]


class RunLog:
    """The part of the logs that MLflow lacks.

    Args:
        folder: Folder of the run.
        began: Unix time in seconds; older lines belong to an earlier run.
    """

    def __init__(self, folder: Path, began: float) -> None:
        self.folder = folder
        self._began = began
        self.nonfinite: set[str] = set()  # metrics that had a value that is not finite
        self.rewind()

    def rewind(self) -> None:
        """Start over, for an MLflow that has nothing of the run."""
        self._tails = [_Tail(self.folder / name) for name in (EVENTS, SYSTEM)]
        self._waiting: list[Event] = []

    def unsent(self, sent: Sent) -> list[Event]:
        """Return the lines that have not arrived, or their parts that have not.

        A resumed run writes some steps again, with the same values; steps that have arrived are not
        sent again.
        """
        new = [event for tail in self._tails for event in tail.new_events()]
        current = [event for event in new if event.get("seconds", 0.0) >= self._began]
        self.nonfinite.update(name for event in current for name in event.get("nonfinite", ()))
        self._waiting = _without_sent([*self._waiting, *current], sent)
        return self._waiting


class _Tail:
    """Reads the complete lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Kept open, because the inode number of a closed file may be reused by its replacement.
        self._file: BinaryIO | None = None

    def new_events(self) -> list[Event]:
        """Read the events since the last call."""
        if self._is_replaced():
            self._open()
        if self._file is None:
            return []
        begin = self._file.tell()
        whole_lines, newline, _ = self._file.read().rpartition(b"\n")
        self._file.seek(begin + len(whole_lines) + len(newline))
        lines = whole_lines.decode("utf-8", errors="replace").split("\n")
        return [event for line in lines if (event := events.parse_line(line)) is not None]

    def _is_replaced(self) -> bool:
        if self._file is None:
            return True
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path.open("rb") if self._path.exists() else None


def _without_sent(lines: Iterable[Event], sent: Sent) -> list[Event]:
    unsent = []
    for event in lines:
        values = {
            name: value
            for name, value in event.get("values", {}).items()
            if event["images_seen"] > sent.steps.get(name, -1)
        }
        step = sent.steps.get(f"picture:{event.get('name')}", -1)
        if values or (event["kind"] == "picture" and event["images_seen"] > step):
            unsent.append(event | {"values": values})
    return unsent
