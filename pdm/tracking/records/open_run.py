"""Finds runs that were tracked, but not to their end: a kill may come in between."""

import os
from pathlib import Path

import psutil

from pdm.tracking.records.kept_files import folder_of_record
from pdm.tracking.records.record import Record


def is_open(stage: str, run: Path) -> bool:
    """Whether the run of a folder was tracked, but not to its end, and no other process is at
    it."""
    record = Record.load(folder_of_record(stage, run))
    if record is None or not record.is_open:
        return False
    return record.process == os.getpid() or not psutil.pid_exists(record.process)
