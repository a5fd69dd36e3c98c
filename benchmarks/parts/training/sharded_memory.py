"""Peak memory of each worker of a sharded training, against the code before, in host memory.

Four gloo workers train a stack of linear layers for four steps with `strategy: fsdp`, with two
checkpoints, each scored. Batches are small, so that weights, gradients, optimizer, EMA and copies
of them are what counts. The peer is commit 52d5325, where each worker held a whole EMA and whole
copies of everything. Each worker's peak is above what it took before it built the network. Freed
memory goes back to the system at once, on both sides: trainings keep it on a CPU, and it would be
counted.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.checkout import ROOT, unpack_commit
from benchmarks.shared.child_process import MIB
from benchmarks.shared.ratios import Ratio

BEFORE = "52d5325"  # the last commit without sharded copies
# They also keep `pdm.machine.heap` from setting its own.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
WORKER = Path(__file__).with_name("sharded_worker.py")


@dataclass(frozen=True)
class Size:
    num_workers: int
    width: int
    num_layers: int


FULL = Size(num_workers=4, width=1024, num_layers=32)
QUICK = Size(num_workers=2, width=256, num_layers=4)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """The largest peak of any worker, now over before."""
    before = folder / "before"
    unpack_commit(BEFORE, before, "pdm")
    now, old = (_peaks(tree, size, folder / name) for tree, name in ((ROOT, "n"), (before, "o")))
    weights = size.width**2 * size.num_layers
    return [
        Ratio(
            "fsdp_memory",
            f"peak of the worker that takes most, of {size.num_workers} with sharded weights, "
            f"against {BEFORE} (less is better)",
            max(now) / MIB,
            max(old) / MIB,
            "MiB",
            (max(now) / max(old),),
            "at most 0.5",
            f"{weights / 1e6:.3g} million weights ({4 * weights / MIB:.0f} MiB). All workers, in "
            f"MiB: now {_list(now)}; before {_list(old)}",
        )
    ]


def _list(peaks: list[int]) -> str:
    return ", ".join(f"{peak / MIB:.0f}" for peak in peaks)


def _peaks(tree: Path, size: Size, folder: Path) -> list[int]:
    """Peak of each worker in bytes, with the package of a tree."""
    folder.mkdir()
    processes = []
    for rank in range(size.num_workers):
        task = {"rank": rank, "count": size.num_workers, "folder": str(folder)}
        task |= {"width": size.width, "num_layers": size.num_layers, "tree": str(tree)}
        environment = os.environ | GIVE_BACK
        environment |= {"PYTHONPATH": str(tree), "GLOO_SOCKET_IFNAME": "lo"}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(WORKER), json.dumps(task)],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    assert not any(process.returncode for process in processes), outputs
    return [int(output.splitlines()[-1]) for output in outputs]
