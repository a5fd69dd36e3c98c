"""The log of a training run: a local file of one JSON object a line, written first and always.

Whoever shows the run (MLflow, a plot, a test) reads this file; nothing that trains waits for them.

    {"kind": "metrics", "images_seen": 640, "seconds": 1700000000.0, "values": {"loss": 0.5}}
    {"kind": "picture", "images_seen": 640, "seconds": 1700000000.0, "name": "...", "path": "..."}
"""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventLog:
    """Appends to the log. One writer at a time (worker 0).

    Args:
        path: The file; made if absent.
        images_seen: Where the run starts. Lines beyond it were written by a process that was lost
            after its last checkpoint; they are removed, so that each point stands once.
    """

    def __init__(self, path: Path, images_seen: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [event for event in read(path) if event["images_seen"] <= images_seen]
        # Renamed when whole: a kill here must not cost a log that took days to gather.
        temporary = path.with_name(f".tmp-{path.name}")
        temporary.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")
        temporary.replace(path)

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Record scalars. A value that is not finite is left out and named under `nonfinite`."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        event: dict[str, Any] = {"kind": "metrics", "values": finite}
        if len(finite) < len(values):
            event["nonfinite"] = sorted(set(values) - set(finite))
        self._append(event, images_seen)

    def picture(self, name: str, path: Path, images_seen: int) -> None:
        """Record a picture that lies at `path`, below the log's own folder."""
        relative = path.relative_to(self.path.parent)
        self._append({"kind": "picture", "name": name, "path": str(relative)}, images_seen)

    def _append(self, event: dict[str, Any], images_seen: int) -> None:
        line = json.dumps(event | {"images_seen": images_seen, "seconds": time.time()})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """All whole events of a log, oldest first; an absent file is an empty log.

    What a crash of the machine left half written or garbled is passed over.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return [event for line in lines if (event := parse_line(line)) is not None]


def parse_line(line: str) -> dict[str, Any] | None:
    """The event that a line holds; None if it holds none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "images_seen" in event else None
