"""Runs the work of a training stage on Ray workers. The one file that imports ray.train.

Ray replaces workers that are lost; the work then goes on from its newest checkpoint. What is wrong
with the input (`PyramidError`) is not tried again: it comes back as itself. SIGTERM asks the work
to keep a checkpoint and end (`Preempted`); an interrupt or the death of this process ends the
workers at once.
"""

import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

import ray
import torch
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.v2.api.exceptions import TrainingFailedError

from pdm import errors, openmp
from pdm.cluster import Head, ray_session
from pdm.errors import PyramidError, Unavailable
from pdm.files import sole_writer, write_json
from pdm.training.checkpoints.run_folder import LOG, STOP
from pdm.training.distributed.launchers import SECONDS_OF_SILENCE
from pdm.training.distributed.placement import resources_of_worker
from pdm.training.distributed.workers import Workers

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings")
Outcome = tuple[str, str] | None  # class and text of an expected failure

MAX_LOST_WORKERS = 2
SIGNS_OF_LOSS = ("died unexpectedly", "ActorDiedError", "startup timed out")  # in Ray's errors
FAILED = "failed"  # folder of a run: what each worker says that fails for an expected reason
SECONDS_TO_FAIL = 5.0  # within which workers that agree have all failed
SECONDS_TO_START = 300  # of a group of workers; Ray's 60 are short for a busy machine
SECONDS_BETWEEN_LOOKS = 0.2  # at the workers' log
SECONDS_TO_STOP = 60.0  # after ctrl-C, for the step that runs and a checkpoint


def launch(
    work: Callable[[Settings, Workers], None], settings: Settings, *, num_workers: int, run: Path
) -> None:
    """Call `work(settings, workers)` in each of `num_workers` processes, one device each.

    Uses GPUs if the cluster has any. Returns when all have ended.

    Args:
        work: A function of a module; it must be able to go on from where it was killed.
        settings: Plain data, sent to the workers; paths in it are absolute.
        num_workers: Processes, each with an equal part of the CPUs.
        run: The run's folder, on storage that all workers share. What worker 0 logs appears here
            in `training.log`, and in this process's own log.

    Raises:
        Unavailable: The cluster has fewer CPUs or GPUs than workers, or workers were lost more
            often than `MAX_LOST_WORKERS` times, or while they started; or another process trains in
            this folder.
        PyramidError: `work` raised it.
    """
    run = run.absolute()
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(SECONDS_TO_START))
    with sole_writer(run):
        _prepare_folder(run)
        # In this order: Ray sets a handler of its own when it starts, which would end us at once.
        with ray_session(worker_output=False), _stop_on_sigterm(run / STOP):
            trainer = TorchTrainer(
                _work,  # type: ignore[arg-type]  # it does return a value: worker 0's comes back
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
    """Make the folder, and remove what an earlier attempt said in it."""
    run.mkdir(parents=True, exist_ok=True)
    (run / STOP).unlink(missing_ok=True)
    shutil.rmtree(run / FAILED, ignore_errors=True)
    (run / LOG).write_text("", encoding="utf-8")


def _work(task: dict[str, Any]) -> Outcome:
    """Runs in a worker: the work, its log, and its expected failure as plain data."""
    failed = Path(task["run"]) / FAILED
    workers = Workers(get_device())
    if told := _first_failure(failed):  # before this worker began, or before Ray started it again
        write_json(failed / str(workers.rank), told)  # for those who wait for all to have failed
        return told
    resources = ray.get_runtime_context().get_assigned_resources()  # type: ignore[no-untyped-call]
    torch.set_num_threads(int(resources["CPU"]))  # left alone, Ray gives a worker one thread
    if workers.is_first:
        _log_to(Path(task["run"]) / LOG)
    try:
        task["work"](task["settings"], workers)
    except PyramidError as error:
        write_json(failed / str(workers.rank), [type(error).__name__, str(error)])
        if not _wait_until_all_failed(failed, workers.count):
            raise  # the others wait for this one: only Ray can end them
        return _first_failure(failed)
    return None


def _wait_until_all_failed(failed: Path, count: int) -> bool:
    """Whether all workers end like this one, as they do after they have agreed to."""
    end = time.monotonic() + SECONDS_TO_FAIL
    while len(list(failed.glob("[0-9]*"))) < count:
        if time.monotonic() > end:
            return False
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return True


def _first_failure(failed: Path) -> Outcome:
    """The failure of the first worker that has one."""
    for path in sorted(failed.glob("[0-9]*")):
        kind, message = json.loads(path.read_text(encoding="utf-8"))
        return kind, message
    return None


def _log_to(path: Path) -> None:
    """Send the package's log lines to a file, which the launching process reads."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("pdm")
    package.handlers, package.propagate = [handler], False
    package.setLevel(logging.INFO)


def _run_config(run: Path) -> RunConfig:
    # The signatures that a type checker sees are those of Ray Train's first version.
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


def _fit(trainer: TorchTrainer, run: Path) -> Outcome:
    """Run the trainer, repeating the workers' log lines as they come; at ctrl-C, end it first."""
    fitted: Future[Any] = Future()

    def fit() -> None:
        try:
            fitted.set_result(trainer.fit())
        except Exception as error:  # noqa: BLE001 - raised again below, in the main thread
            fitted.set_exception(error)

    # In a thread of its own, so that Ray leaves ctrl-C to us; a daemon, so that it ends with us.
    threading.Thread(target=fit, daemon=True).start()
    try:
        _watch(fitted, run)
    except KeyboardInterrupt:
        # Ray ends the whole process if that thread still asks it for anything after its shutdown.
        logger.info("ctrl-C: keeping a checkpoint; once more to end without it")
        (run / STOP).touch()
        wait([fitted], timeout=SECONDS_TO_STOP)
        raise
    try:
        outcome: Outcome = fitted.result().return_value
    except TrainingFailedError as error:
        if told := _first_failure(run / FAILED):  # after as many lost workers as are allowed
            return told
        raise _explain(error) from error
    return outcome


def _watch(fitted: "Future[Any]", run: Path) -> None:
    """Repeat the workers' log lines until they have ended, or the cluster has lost its head."""
    with (run / LOG).open(encoding="utf-8") as lines:
        head = Head()
        while not fitted.done():
            _forward_lines(lines)
            wait([fitted], timeout=SECONDS_BETWEEN_LOOKS)
            if head.is_lost():
                (run / STOP).touch()  # nobody else can tell workers on other machines
                raise Unavailable(
                    f"the head of the Ray cluster ({head.address}) does not answer any more; run "
                    "the same command again, on a cluster that does, to go on from the newest "
                    "checkpoint"
                )
        _forward_lines(lines)


def _forward_lines(lines: TextIO) -> None:
    for line in lines:
        logger.info(line.rstrip("\n"))


def _explain(error: TrainingFailedError) -> Exception:
    """A lost worker is a missing resource; any other error is a fault of ours and stays so."""
    text = str(error)
    if not any(sign in text for sign in SIGNS_OF_LOSS):
        return error
    reason = next(line for line in text.splitlines() if any(sign in line for sign in SIGNS_OF_LOSS))
    return Unavailable(
        "training workers were lost (out of memory? killed?) and could not be replaced: "
        f"{reason.strip()} Run the same command again to go on from the newest checkpoint"
    )


@contextmanager
def _stop_on_sigterm(request: Path) -> Iterator[None]:
    """While the block runs, SIGTERM asks the workers to stop instead of ending this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum: int, frame: object) -> None:
        request.touch()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
