"""Starts the workers of a training: by Ray, by `torchrun`, or as one worker in this process.

All three call the same work with the same settings. On a CPU all give the same bits. Only
`launch_on_ray` imports Ray:

    torchrun --nproc-per-node 4 -m pdm diffusion          # one worker for each process
    pyramid diffusion --launcher process                  # one worker, here

    train_autoencoder(config, shards=..., run=..., model=..., curves=..., launch=launch_in_process)
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import distributed

from pdm.errors import BadInput, Preempted
from pdm.files import sole_writer
from pdm.training.checkpoints.run_folder import STOP
from pdm.training.distributed.workers import SECONDS_OF_SILENCE, Workers

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE")  # variables that torchrun sets for each process


class Launch(Protocol):
    """Calls `work(settings, workers)` in each worker, and returns when all have ended."""

    def __call__(
        self,
        work: Callable[[Any, Workers], None],
        settings: Any,
        *,
        num_workers: int,
        run: Path,
    ) -> None:
        """Args:
        work: A module-level function that can resume after it was killed.
        settings: Plain data; paths in it are absolute.
        num_workers: From `params.yaml`; ignored under `torchrun`.
        run: The run's folder, on storage that all workers share.
        """


def is_under_torchrun() -> bool:
    """Whether `torchrun` started this process."""
    return all(name in os.environ for name in TORCHRUN)


def is_first_process() -> bool:
    """Whether this process writes files and logs to trackers."""
    return not is_under_torchrun() or os.environ["RANK"] == "0"


def choose_launcher(name: str | None = None) -> Launch:
    """Choose a launcher: "ray" or "process". By default Ray, or this process under `torchrun`."""
    if name == "process" or (name is None and is_under_torchrun()):
        return launch_in_process
    return launch_on_ray


def launch_on_ray(
    work: Callable[[Any, Workers], None], settings: Any, *, num_workers: int, run: Path
) -> None:
    """See `pdm.training.distributed.ray_launcher.launch`."""
    from pdm.training.distributed.ray_launcher import launch

    launch(work, settings, num_workers=num_workers, run=run)


def launch_in_process(
    work: Callable[[Any, Workers], None], settings: Any, *, num_workers: int, run: Path
) -> None:
    """Work in this process: as one of `torchrun`'s workers, or as the only worker.

    SIGTERM, and the first ctrl-C, ask the work to save a checkpoint and end.

    Args:
        work, settings, run: As for `Launch`.
        num_workers: Ignored: `torchrun` decides, and without it there is one worker.

    Raises:
        BadInput: The batch cannot be divided among `torchrun`'s workers.
        Unavailable: Another process trains in this folder.
        Preempted: SIGTERM arrived; a checkpoint was saved.
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint was saved.
        PyramidError: `work` raised it.
    """
    with _process_group() as workers:
        _check_batch_size(settings, workers)
        run.mkdir(parents=True, exist_ok=True)
        with sole_writer(run) if workers.is_first else nullcontext():
            if workers.is_first:
                (run / STOP).unlink(missing_ok=True)
            workers.max_over_workers(0)  # barrier: the old request is gone
            with _stop_on_signals(run / STOP):
                work(settings, workers)


@contextmanager
def _process_group() -> Iterator[Workers]:
    """Yield this process as a worker: of `torchrun`'s group, or the only one."""
    on_gpu = torch.cuda.is_available()
    if not is_under_torchrun():
        yield Workers(torch.device("cuda" if on_gpu else "cpu"))
        return
    device = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else "cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    silence = timedelta(seconds=SECONDS_OF_SILENCE)
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=silence)
    try:
        yield Workers(device)
    finally:
        distributed.destroy_process_group()


def _check_batch_size(settings: Any, workers: Workers) -> None:
    training = settings.config.training
    share = workers.count * training.accumulation
    if training.batch_size % share:
        raise BadInput(
            f"training.batch_size {training.batch_size} cannot be divided among {workers.count} "
            f"processes of torchrun with accumulation {training.accumulation}: make it a multiple "
            f"of {share}, or change --nproc-per-node"
        )


@contextmanager
def _stop_on_signals(request: Path) -> Iterator[None]:
    """Let SIGTERM and ctrl-C ask the work to stop, instead of ending the process.

    A second ctrl-C ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted: list[int] = []

    def ask(signum: int, frame: object) -> None:
        request.touch()
        if signum == signal.SIGINT:
            interrupted.append(signum)
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Preempted:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
