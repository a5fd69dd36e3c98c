"""Starting or joining Ray. What runs on it is decided elsewhere."""

import logging
import os
import secrets
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

# Ray itself ends the process after 60 seconds without its head, without an error to be caught. A
# head that is started anew elsewhere, with its state kept, may need some.
SECONDS_WITHOUT_HEAD = 30.0
SECONDS_BETWEEN_LOOKS = 2.0  # for the head
SECONDS_TO_ANSWER = 5.0


@contextmanager
def ray_session(num_cpus: int | None = None, *, worker_output: bool = True) -> Iterator[None]:
    """Join the cluster that RAY_ADDRESS names, or start a local one, for the length of the block.

    Inside another session (of a test, or of a stage that calls another) it is that session.

    Args:
        num_cpus: Of a local cluster; all of this machine's by default.
        worker_output: Whether what workers print appears here.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's 15 leave a thirtieth of a core beside anything that is busy; `nice pyramid ...` is asked
    # for by whoever wants that.
    os.environ.setdefault("RAY_worker_niceness", "0")
    local = "RAY_ADDRESS" not in os.environ
    if local:
        # The jobs API runs code: never without a token. Ray asks for one on a local cluster unless
        # RAY_AUTH_MODE says otherwise (setting it here, after `import ray`, would come too late).
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(
            # Never whatever cluster ran last on this machine, which None would look for.
            address="local" if local else os.environ["RAY_ADDRESS"],
            num_cpus=num_cpus if local else None,
            include_dashboard=False if local else None,
            logging_level=logging.WARNING,
            log_to_driver=worker_output,
        )
    try:
        yield
    finally:
        ray.shutdown()


class Head:
    """The head of the cluster that this process has joined, looked at from time to time."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        self._looked = self._answered = time.monotonic()

    def is_lost(self) -> bool:
        """Whether nothing has answered there for `SECONDS_WITHOUT_HEAD`. To be asked often."""
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
    """Wait for a task's result. A disk that fails on a worker raises its own error here.

    Ray raises an `OSError` without its number, which then looks like a fault of ours.
    """
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OSError):
            raise error.cause from None
        raise
