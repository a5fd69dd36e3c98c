"""A process that keeps freed memory gets no new pages from the system for its next arrays."""

import subprocess
import sys

import pytest

WORK = """
import resource
import sys
import numpy as np
from pdm.machine.heap import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(3):
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        arrays = [np.ones(2**20, np.float32) for _ in range(4)]
        del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began)
"""


def new_pages(word: str) -> int:
    command = [sys.executable, "-c", WORK, word]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_arrays_reuse_the_memory_of_those_before_them():
    assert new_pages("keep") < 1000 < 20_000 < new_pages("leave")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_settings_of_the_user_are_kept(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", str(2**17))
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(2**17))
    assert new_pages("keep") > 20_000
