"""Runs the parts of a stage: on the GPUs of a cluster if it has any, else in this process.

Results do not depend on which worker runs a part, so the number of workers changes only the time.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from pdm.parallel.part_folder import PartFolder

Result = TypeVar("Result")

# Called with the task (plain data, absolute paths), the names of the parts to run, and a function
# to call after each part has been marked as finished. It chooses its device.
Work = Callable[[Any, Sequence[str], Callable[[str], None]], None]


def run_parts(
    work: Work,
    task: Any,
    parts: Sequence[str],
    *,
    folder: PartFolder,
    on_done: Callable[[str], None],
    num_workers: int | None = None,
) -> None:
    """Run those of `parts` that `folder` does not have.

    Args:
        work: A module-level function.
        task: Its settings.
        parts: Names of all parts, in order.
        folder: Where finished parts are recorded.
        on_done: Called in this process after each part.
        num_workers: Ray workers, with a GPU each if there are any. None: one for each GPU of the
            cluster that RAY_ADDRESS names, or of this machine if it has several; without, this
            process does the work and Ray is not started, which would cost seconds. 0: this process.

    Raises:
        Unavailable: Workers were lost, or the cluster has fewer GPUs or CPUs than workers.
        PyramidError: `work` raised it.
    """
    missing = [part for part in parts if part not in folder.done()]
    if missing and _may_use_cluster(num_workers):
        from pdm.parallel.ray_tasks import run_parts_on_ray

        if run_parts_on_ray(work, task, missing, folder, on_done, num_workers):
            return
    if missing:
        work(task, missing, on_done)


def call_with_gpu(function: Callable[..., Result], *args: Any, **keywords: Any) -> Result:
    """Call a module-level function where a GPU is: here, or, if this machine has none, in a
    Ray worker of the cluster that RAY_ADDRESS names. If there is none either, it is called here.

    Raises:
        Unavailable: The worker was lost.
        PyramidError: The function raised it.
    """
    if not torch.cuda.is_available() and "RAY_ADDRESS" in os.environ:
        from pdm.parallel.ray_tasks import NoGpu, call_on_gpu

        with contextlib.suppress(NoGpu):
            return call_on_gpu(function, args, keywords)
    return function(*args, **keywords)


def _may_use_cluster(num_workers: int | None) -> bool:
    if num_workers is not None:
        return num_workers > 0
    return "RAY_ADDRESS" in os.environ or torch.cuda.device_count() > 1
