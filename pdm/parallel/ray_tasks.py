"""Spreads parts over Ray tasks. A lost worker is replaced; the new one runs what is missing."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch

from pdm.errors import Unavailable
from pdm.machine import openmp
from pdm.machine.cluster import Head, ray_session, result_of
from pdm.machine.limits import give_task
from pdm.parallel.part_folder import PartFolder
from pdm.parallel.resources import num_gpus, resources_of_worker

Result = TypeVar("Result")

MAX_LOST_WORKERS = 2  # for each task
SECONDS_BETWEEN_LOOKS = 1.0  # polling interval


def run_parts_on_ray(
    work: Callable[..., None],
    task: Any,
    parts: Sequence[str],
    folder: PartFolder,
    on_done: Callable[[str], None],
    num_workers: int | None,
) -> bool:
    """Run all parts on Ray workers; see `pdm.parallel.run`.

    Returns:
        Whether they were run: not if no number of workers was asked for and the cluster has no GPU.
    """
    with ray_session():
        wanted = num_gpus() if num_workers is None else num_workers
        if not wanted:
            return False
        count = min(wanted, len(parts))
        resources = resources_of_worker(count, "--workers")
        remote: Any = _remote(resources)(_work)
        place = str(Path.cwd())
        tasks = [
            remote.remote(work, task, parts[number::count], folder, place, int(resources["CPU"]))
            for number in range(count)
        ]
        try:
            _watch(tasks, parts, folder, on_done)
        finally:
            _cancel(tasks)
    return True


class NoGpu(Exception):
    """The cluster has no GPU."""


def call_on_gpu(
    function: Callable[..., Result], args: tuple[Any, ...], keywords: dict[str, Any]
) -> Result:
    """Call a function in a worker with a GPU.

    Raises:
        NoGpu: The cluster has none; nothing was called.
        Unavailable: The worker was lost.
        PyramidError: The function raised it.
    """
    with ray_session():
        if not num_gpus():
            raise NoGpu
        resources = resources_of_worker(1)
        remote: Any = _remote(resources)(_call)
        task = remote.remote(function, args, keywords, str(Path.cwd()), int(resources["CPU"]))
        head = Head()
        try:
            while not ray.wait([task], timeout=SECONDS_BETWEEN_LOOKS)[0]:
                _check_head(head)
            result: Result = _result(task)
            return result
        finally:
            _cancel([task])


def _call(
    function: Callable[..., Result],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    place: str,
    num_cpus: int,
) -> Result:
    _prepare(place, num_cpus)
    return function(*args, **keywords)


def _remote(resources: dict[str, float]) -> Any:
    """Make the decorator of a task with these resources."""
    return ray.remote(
        num_cpus=resources["CPU"],
        num_gpus=resources.get("GPU", 0),
        max_retries=MAX_LOST_WORKERS,
        runtime_env={"env_vars": openmp.SETTINGS},
    )


def _prepare(place: str, num_cpus: int) -> None:
    """Set up a worker. Relative paths are those of the project's folder."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.chdir(place)
    torch.set_num_threads(num_cpus)
    give_task(num_cpus)


def _work(
    work: Callable[..., None],
    task: Any,
    parts: Sequence[str],
    folder: PartFolder,
    place: str,
    num_cpus: int,
) -> None:
    """Run the parts that are missing, in a worker."""
    _prepare(place, num_cpus)
    done = folder.done()  # by a worker that was lost
    work(task, [part for part in parts if part not in done], _ignore)


def _ignore(part: str) -> None:
    """The process that started the workers sees by itself which parts are done."""


def _watch(
    tasks: Sequence[Any],
    parts: Sequence[str],
    folder: PartFolder,
    on_done: Callable[[str], None],
) -> None:
    """Wait for all tasks, and report the parts that they finish."""
    head, waiting, reported = Head(), list(tasks), set[str]()
    while True:
        ready, waiting = ray.wait(waiting, timeout=SECONDS_BETWEEN_LOOKS)
        done = folder.done().intersection(parts)
        for part in sorted(done - reported):
            on_done(part)
        reported |= done
        for each in ready:
            _result(each)
        if not waiting:
            return
        _check_head(head)


def _cancel(tasks: Sequence[Any]) -> None:
    """Interrupt the tasks that have not ended.

    Ray 2.60 aborts the calling process where a task that is just ending is cancelled by force.
    """
    for task in ray.wait(list(tasks), num_returns=len(tasks), timeout=0)[1]:
        ray.cancel(task)


def _check_head(head: Head) -> None:
    if head.is_lost():
        raise Unavailable(
            f"the head of the Ray cluster ({head.address}) no longer answers; run the same "
            "command again, on a working cluster, to go on with what is missing"
        )


def _result(task: Any) -> Any:
    """Return what a task that has ended returned, or raise its error."""
    try:
        return result_of(task)
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.OutOfMemoryError,
    ) as error:
        raise Unavailable(
            "workers were lost (out of memory? killed?) and could not be replaced: "
            f"{str(error).splitlines()[0]} Run the same command again to go on with what is "
            "missing"
        ) from error
