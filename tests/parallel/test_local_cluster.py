"""The local Ray that stages start."""

import subprocess
import sys

SCRIPT = """
import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import ray

from pdm.machine.cluster import ray_session

with ray_session():
    print(ray.cluster_resources()["CPU"])
"""


def test_it_has_the_cpus_that_this_process_may_use():
    """A scheduler such as Slurm pins a job to its cores: two threads on one would wait for each
    other."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split()[-1] == "1.0"
