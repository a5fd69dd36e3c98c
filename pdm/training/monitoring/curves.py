"""Writes the loss curves of a finished run as CSV, with a row for each line of the log."""

import csv
from pathlib import Path

from pdm import events
from pdm.files import atomic_file
from pdm.training.monitoring.meters import TIMED

# Left out: they depend on how busy the machine was, and would make equal runs differ.
TIMINGS = {
    *("images_per_second", "flops_utilisation", "cpu_seconds", "gpu_seconds"),
    *(f"{what}_fraction" for what in TIMED),
}


def write_curves(log: Path, curves: Path) -> None:
    """Write images_seen, the loss and the other metrics of each log line that has a loss.

    Args:
        log: The run's `events.jsonl`.
        curves: CSV file to write; replaced if it exists.
    """
    rows = [
        {"images_seen": event["images_seen"], **event["values"]}
        for event in events.read(log)
        if event["kind"] == "metrics" and "loss" in event["values"]
    ]
    first = ["images_seen", "loss"]
    others = sorted({name for row in rows for name in row} - set(first) - TIMINGS)
    with (
        atomic_file(curves) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, first + others, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
