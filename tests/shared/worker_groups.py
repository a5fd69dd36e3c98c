"""Groups of worker processes without Ray: gloo, on this machine, in a second."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One server imports what tests and their subjects import, and every worker is a fork of it: imports
# in each would take most of its time.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("pytest", "torch", "torch.distributed.tensor.debug", "torch.distributed.fsdp"),
        *("pdm.training.loop.train", "pdm.training.checkpoints.run_folder"),
        *("pdm.training.distributed.sharded", "pdm.training.autoencoder"),
        *("pdm.training.diffusion", "pdm.evaluation.reference_distance"),
    ]
)


def run_group(count: int, work: Callable[..., Any], *settings: Any) -> list[Any]:
    """Call `work(workers, *settings)` in each of `count` processes.

    Returns:
        What each gave back, by rank; the exception where it raised one.

    Raises:
        EOFError: One died.
    """
    with tempfile.TemporaryDirectory() as folder:
        ends = []
        for rank in range(count):
            ours, theirs = _CONTEXT.Pipe(duplex=False)
            task = (rank, count, folder, theirs, work, settings)
            _CONTEXT.Process(target=_join, args=task, daemon=True).start()
            theirs.close()  # or a worker that dies would not be noticed
            ends.append(ours)
        return [end.recv() for end in ends]


def _join(
    rank: int, count: int, folder: str, result: Any, work: Callable[..., Any], settings: Any
) -> None:
    import torch
    from torch import distributed

    from pdm.training.distributed.workers import Workers

    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    store = distributed.FileStore(str(Path(folder) / "store"), count)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=count)
    try:
        result.send(work(Workers(torch.device("cpu")), *settings))
    except Exception as error:  # noqa: BLE001 - given to the test
        result.send(error)
    distributed.destroy_process_group()
