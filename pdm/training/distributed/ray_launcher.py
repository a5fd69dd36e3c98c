"""Runs the work of a training stage on Ray workers. Only this file imports ray.train.

Ray replaces lost workers, and the work resumes from its newest checkpoint. Expected errors
(`PyramidError`) are not retried; they are raised again here. SIGTERM and the first ctrl-C ask the
work to save a checkpoint and end. A second ctrl-C, or the death of this process, ends the workers
at once.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

import ray
import torch
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2.api.exceptions import TrainingFailedError

from pdm import errors
from pdm.errors import PyramidError, Unavailable
from pdm.files import sole_writer
from pdm.machine import openmp
from pdm.machine.cluster import ray_session
from pdm.machine.limits import give_task
from pdm.parallel.resources import resources_of_worker
from pdm.training.checkpoints.run_folder import LOG, STOP
from pdm.training.distributed.watch import stop_on_sigterm, watch
from pdm.training.distributed.worker_failures import (
    FAILED,
    Failure,
    first_failure,
    report_failure,
    wait_until_all_failed,
)
from pdm.training.distributed.workers import SECONDS_OF_SILENCE, Workers

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings")

MAX_LOST_WORKERS = 2
SIGNS_OF_LOSS = ("died unexpectedly", "ActorDiedError", "startup timed out")  # in Ray's errors
SECONDS_TO_START = 300  # a group of workers; Ray's 60 are too few on a busy machine
SECONDS_TO_STOP = 60.0  # after ctrl-C: time to finish a step and save a checkpoint


def launch(
    work: Callable[[Settings, Workers], None], settings: Settings, *, num_workers: int, run: Path
) -> None:
    """Call `work(settings, workers)` in each of `num_workers` processes, one device each.

    Uses GPUs if the cluster has any. Returns when all have ended.

    Args:
        work: A module-level function that can resume after it was killed.
        settings: Plain data, sent to the workers; paths in it are absolute.
        num_workers: Number of processes; each gets an equal part of the CPUs.
        run: The run's folder, on storage that all workers share. The log of worker 0 goes to its
            `training.log`, and to this process's own log.

    Raises:
        Unavailable: The cluster has fewer CPUs or GPUs than workers; workers were lost more than
            `MAX_LOST_WORKERS` times, or while they started; or another process trains in this
            folder.
        PyramidError: `work` raised it.
    """
    run = run.absolute()
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(SECONDS_TO_START))
    with sole_writer(run):
        _prepare_folder(run)
        # In this order: Ray sets its own handler when it starts, which would end us at once.
        with ray_session(worker_output=False), stop_on_sigterm(run / STOP):
            trainer = TorchTrainer(
                _work,  # type: ignore[arg-type]  # it does return worker 0's value
                train_loop_config={"work": work, "settings": settings, "run": str(run)},
                scaling_config=_scaling(num_workers),
                run_config=_run_config(run),
                torch_config=TorchConfig(timeout_s=SECONDS_OF_SILENCE),
            )
            try:
                outcome = _fit(trainer, run)
            finally:
                shutil.rmtree(run / "ray", ignore_errors=True)
    if outcome:
        kind, message = outcome
        raise getattr(errors, kind)(message)


def _prepare_folder(run: Path) -> None:
    """Create the folder, and remove the messages of an earlier attempt."""
    run.mkdir(parents=True, exist_ok=True)
    (run / STOP).unlink(missing_ok=True)
    shutil.rmtree(run / FAILED, ignore_errors=True)
    (run / LOG).write_text("", encoding="utf-8")


def _work(task: dict[str, Any]) -> Failure | None:
    """Do the work in a worker, with its log; return an expected failure as plain data."""
    run, workers = Path(task["run"]), Workers(get_device())
    # Another worker failed before this one started or restarted; the others wait for all to fail.
    if failure := first_failure(run):
        report_failure(run, workers.rank, failure)
        return failure
    cpus = int(ray.get_runtime_context().get_assigned_resources()["CPU"])
    torch.set_num_threads(cpus)  # by default Ray gives a worker one thread
    give_task(cpus)
    if workers.is_first:
        _log_to(run / LOG)
    try:
        task["work"](task["settings"], workers)
    except PyramidError as error:
        report_failure(run, workers.rank, (type(error).__name__, str(error)))
        if not wait_until_all_failed(run, workers.count):
            raise  # the others are blocked; only Ray can end them
        return first_failure(run)
    return None


def _log_to(path: Path) -> None:
    """Send the package's log lines to a file, which the launching process reads."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("pdm")
    package.handlers, package.propagate = [handler], False
    package.setLevel(logging.INFO)


def _run_config(run: Path) -> RunConfig:
    # Type checkers see the signatures of Ray Train's first version.
    failures: Any = FailureConfig(
        max_failures=MAX_LOST_WORKERS,
        controller_failure_limit=1,  # type: ignore[call-arg]
    )
    return RunConfig(
        name="ray",
        storage_path=str(run),
        failure_config=failures,
        worker_runtime_env={"env_vars": openmp.SETTINGS},
        logging_config=LoggingConfig(log_level="ERROR"),  # type: ignore[call-arg]
    )


def _scaling(num_workers: int) -> ScalingConfig:
    resources = resources_of_worker(num_workers)
    return ScalingConfig(
        num_workers=num_workers, use_gpu="GPU" in resources, resources_per_worker=resources
    )


def _fit(trainer: TorchTrainer, run: Path) -> Failure | None:
    """Run the trainer, and forward the workers' log lines. After ctrl-C, wait until it has
    ended."""
    fitted: Future[Any] = Future()

    def fit() -> None:
        try:
            fitted.set_result(trainer.fit())
        except Exception as error:  # noqa: BLE001 - raised again below, in the main thread
            fitted.set_exception(error)

    # In a thread, so that Ray leaves ctrl-C to us; a daemon, so that it ends with this process.
    threading.Thread(target=fit, daemon=True).start()
    try:
        watch(fitted, run)
    except KeyboardInterrupt:
        # Ray ends the whole process if that thread still calls it after its shutdown.
        logger.info("ctrl-C: saving a checkpoint; press ctrl-C again to end without it")
        (run / STOP).touch()
        wait([fitted], timeout=SECONDS_TO_STOP)
        raise
    try:
        outcome: Failure | None = fitted.result().return_value
    except TrainingFailedError as error:
        if failure := first_failure(run):  # after too many lost workers
            return failure
        raise _explain(error) from error
    return outcome


def _explain(error: TrainingFailedError) -> Exception:
    """Turn lost workers into `Unavailable`; any other error is a bug and is returned as it is."""
    text = str(error)
    if not any(sign in text for sign in SIGNS_OF_LOSS):
        return error
    reason = next(line for line in text.splitlines() if any(sign in line for sign in SIGNS_OF_LOSS))
    return Unavailable(
        "training workers were lost (out of memory? killed?) and could not be replaced: "
        f"{reason.strip()} Run the same command again to resume from the newest checkpoint"
    )
