"""Starts or joins a Ray cluster."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray

from pdm.errors import TERMINATED, BadInput, PyramidError, Unavailable
from pdm.machine.limits import usable_cpus

logger = logging.getLogger(__name__)

# Ray itself ends the process after 60 seconds without its head, without an error that could be
# caught. A head that restarts elsewhere with its state may need part of that time.
SECONDS_WITHOUT_HEAD = 30.0
SECONDS_BETWEEN_LOOKS = 2.0  # polling interval
SECONDS_TO_ANSWER = 5.0
TRIES_TO_START = 3  # of a local Ray, which gives each try 30 seconds, too few on a busy machine


@contextmanager
def ray_session(num_cpus: int | None = None, *, worker_output: bool = True) -> Iterator[None]:
    """Join the cluster named by RAY_ADDRESS, or start a local one, while the block runs.

    Inside another session, such as that of a test or of a calling stage, that session is used.
    SIGTERM ends the process with `TERMINATED` after it has cleaned up, unless it had a handler.

    Args:
        num_cpus: CPUs of a local cluster; by default those that this process may use.
        worker_output: Whether the output of workers is printed here.

    Raises:
        BadInput: RAY_ADDRESS is not an address.
        Unavailable: The cluster that it names does not answer, or a local one did not start.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's 15 gives workers a thirtieth of a core next to any busy process. Whoever wants that can
    # run `nice pyramid ...`.
    os.environ.setdefault("RAY_worker_niceness", "0")
    local = "RAY_ADDRESS" not in os.environ
    if local:
        # The jobs API runs code, so never expose it without a token. Ray asks for one on a local
        # cluster unless RAY_AUTH_MODE says otherwise (setting it after `import ray` is too late).
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    else:
        check_address(os.environ["RAY_ADDRESS"])
    with _own_sigterm() as take_back_sigterm:
        _join(local=local, num_cpus=num_cpus, worker_output=worker_output)
        take_back_sigterm()
        try:
            yield
        finally:
            ray.shutdown()


def _join(*, local: bool, num_cpus: int | None, worker_output: bool) -> None:
    with warnings.catch_warnings(), _named_faults():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {
            # None would join any cluster that last ran on this machine.
            "address": "local" if local else os.environ["RAY_ADDRESS"],
            "num_cpus": (num_cpus or usable_cpus()) if local else None,
            "include_dashboard": False if local else None,
            "logging_level": logging.WARNING,
            "log_to_driver": worker_output,
        }
        _start(options, TRIES_TO_START if local else 1)


@contextmanager
def _own_sigterm() -> Iterator[Callable[[], object]]:
    """Yield a function that undoes Ray's handlers of SIGTERM; call it when Ray has started.

    Ray's end the process with 15 or 1, which would look like a fault of the project, and a flow
    would not try the stage again.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield lambda: None  # Ray sets none in other threads; one in C cannot be set again
        return
    own = _terminate if before is signal.SIG_DFL else before
    signal.signal(signal.SIGTERM, own)
    try:
        yield lambda: signal.signal(signal.SIGTERM, own)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: object) -> None:
    sys.exit(TERMINATED)


def _start(options: dict[str, Any], tries: int) -> None:
    """Start or join Ray; try again what took too long."""
    for tries_left in reversed(range(tries)):
        before = set(psutil.Process().children())
        try:
            ray.init(**options)
        except SystemExit:  # of Ray's own handler of SIGTERM
            sys.exit(TERMINATED)
        except Exception as error:  # a bare Exception if a part does not start in time
            ray.shutdown()
            _end_parts_of_ray(before)
            if not tries_left or "timed out" not in str(error).lower():
                raise
            logger.warning("Ray did not start in time; trying again")
        else:
            return


def _end_parts_of_ray(before: set[psutil.Process]) -> None:
    """Kill the parts of Ray that are children of this process, except those of `before`. After a
    failed start Ray leaves them running until this process ends."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has ended
            if child not in before and any("ray" in Path(word).parts for word in child.cmdline()):
                for part in (*child.children(recursive=True), child):
                    part.kill()
                child.wait(SECONDS_TO_ANSWER)


def check_address(address: str) -> None:
    """Raise `Unavailable` at once if nothing listens at HOST:PORT; Ray itself tries for minutes.
    Other ways of naming a cluster are not checked."""
    host, colon, port = address.rpartition(":")
    if "/" in address or not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise Unavailable(f"{_advice()} ({error})") from error


@contextmanager
def _named_faults() -> Iterator[None]:
    """Turn the faults of Ray's start into expected errors."""
    try:
        yield
    except Exception as error:
        fault = BadInput if isinstance(error, ValueError) else Unavailable
        raise fault(f"{_advice()} ({str(error).splitlines()[0]})") from error


def _advice() -> str:
    if address := os.environ.get("RAY_ADDRESS"):
        return (
            f"there is no Ray cluster at RAY_ADDRESS '{address}'; start it, set RAY_ADDRESS to the "
            "HOST:PORT of one, or unset it to use this machine"
        )
    if address is not None:
        return "RAY_ADDRESS is empty; set it to the HOST:PORT of a cluster, or unset it"
    return "Ray did not start on this machine; it may be overloaded: run this again later"


class Head:
    """Checks the head of the cluster that this process has joined."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        self._looked = self._answered = time.monotonic()

    def is_lost(self) -> bool:
        """Whether the head has not answered for `SECONDS_WITHOUT_HEAD`. Call this often."""
        now = time.monotonic()
        if now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = now
            if self._answers():
                self._answered = now
        return now - self._answered > SECONDS_WITHOUT_HEAD

    def _answers(self) -> bool:
        host, port = self.address.rsplit(":", 1)
        try:
            socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
        except OSError:
            return False
        return True


def result_of(task: Any) -> Any:
    """Wait for a task's result. Restore expected errors and those of a worker's disk.

    Ray raises an `OSError` without its number, which then looks like a bug, and any error with the
    worker's traceback as its text.
    """
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OSError | PyramidError):
            raise error.cause from None
        raise
