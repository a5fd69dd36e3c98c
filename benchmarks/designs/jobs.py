"""Trainings of a comparison, each in its own process, which has its own processor time."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.designs.results import Run
from benchmarks.shared.checkout import ROOT

Job = dict[str, Any]


def run_job(module: str, job: Job) -> Run:
    """Run a module beside this one on a job, and give what it found: the last line it prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.designs.{module}", json.dumps(job)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


def run_jobs(module: str, jobs: Iterable[Job], processes: int) -> Iterator[Run]:
    """Run jobs, several at once; give what they found in their order."""
    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(lambda job: run_job(module, job), jobs)
