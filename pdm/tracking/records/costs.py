"""The cost of a run: time, CPU cores, GPUs, pictures seen, operations.

    wall_seconds     of the stage, in all processes that took the run up
    cpu_hours        one core at work for an hour is one: of this process, and of training workers
    gpu_hours        one GPU reserved for an hour is one, idle or not: of training workers
    images_seen      in training
    parameters       of the model that came out
    training_flops   three forward passes (Kaplan et al., arXiv:2001.08361: a backward pass takes
                     two) for every picture seen; without networks that only judge

The work of a killed process after its last line in the log is not included.
"""

import json
import time
from pathlib import Path

from pdm import events
from pdm.tracking.records.record import Record
from pdm.tracking.records.run_log import EVENTS

SECONDS_PER_HOUR = 3600


class Meter:
    """Measures the cost of this process from now on."""

    def __init__(self) -> None:
        self._began, self._worked = time.monotonic(), time.process_time()

    def add_to(self, record: Record, folder: Path) -> None:
        """Add the cost to the record, with what training workers logged. Call it once, at the
        end."""
        record.seconds += time.monotonic() - self._began
        record.cpu_seconds += time.process_time() - self._worked
        lines = [line for line in events.read(folder / EVENTS) if line["seconds"] >= record.began]
        workers = {
            name: sum(line.get("values", {}).get(name, 0.0) for line in lines)
            for name in ("cpu_seconds", "gpu_seconds")
        }
        record.costs = record.costs | {
            "wall_seconds": record.seconds,
            "cpu_hours": (record.cpu_seconds + workers["cpu_seconds"]) / SECONDS_PER_HOUR,
            "gpu_hours": workers["gpu_seconds"] / SECONDS_PER_HOUR,
        }


def of_model(folder: Path) -> dict[str, float]:
    """Read the costs recorded in a model folder; empty if it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        costs = {name: float(config[name]) for name in ("parameters", "images_seen")}
        flops = 3.0 * float(config["forward_flops"]) * costs["images_seen"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return costs | {"training_flops": flops}
