"""Starting or joining Ray. What runs on it is decided elsewhere."""

import logging
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray


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
