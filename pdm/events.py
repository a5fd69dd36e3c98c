"""The log of a training run: a local file with one JSON object per line.

MLflow, plots and tests read this file. Training never waits for them.

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
        path: File of the log; created if missing.
        images_seen: Progress at which the run starts. Later lines come from a process that died
            after its last checkpoint. They are removed, so that each point appears once.
    """

    def __init__(self, path: Path, images_seen: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [event for event in read(path) if event["images_seen"] <= images_seen]
        # Renamed when complete: a kill here must not lose the log of days.
        temporary = path.with_name(f".tmp-{path.name}")
        temporary.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")
        temporary.replace(path)

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Record scalars. Values that are not finite are left out, and listed under `nonfinite`."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        event: dict[str, Any] = {"kind": "metrics", "values": finite}
        if len(finite) < len(values):
            event["nonfinite"] = sorted(set(values) - set(finite))
        self._append(event, images_seen)

    def picture(self, name: str, path: Path, images_seen: int) -> None:
        """Record a picture at `path`, inside the log's folder."""
        relative = path.relative_to(self.path.parent)
        self._append({"kind": "picture", "name": name, "path": str(relative)}, images_seen)

    def _append(self, event: dict[str, Any], images_seen: int) -> None:
        line = json.dumps(event | {"images_seen": images_seen, "seconds": time.time()})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Read all complete events of a log, oldest first; a missing file is an empty log.

    Lines that a crash left incomplete or garbled are skipped.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return [event for line in lines if (event := parse_line(line)) is not None]


def parse_line(line: str) -> dict[str, Any] | None:
    """Parse the event of a line; None if it has none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "images_seen" in event else None
