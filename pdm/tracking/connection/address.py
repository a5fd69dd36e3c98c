"""Where MLflow is, and a client of it.

An outage must cost seconds, not MLflow's own many minutes: the time-outs are set before its import.
"""

import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402

from pdm.files import whole_file  # noqa: E402

for _noisy in ("alembic", "mlflow"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

LAY_OUT = """
import sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1], registry_uri=sys.argv[1])
client.search_experiments(), client.search_registered_models()
"""
EXPERIMENT = "pyramid-diffusion"


def address() -> str:
    """Where runs are sent: MLFLOW_TRACKING_URI, or a file of this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def experiment_name() -> str:
    """Of the runs: MLFLOW_EXPERIMENT_NAME, or the project's."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def shown_address() -> str:
    """The address for people to read: without a password."""
    parts = urlsplit(address())
    if not parts.netloc:
        return address()
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_local() -> bool:
    """Whether that is a file: never away, at worst slow."""
    return address().startswith("sqlite:")


def database() -> Path | None:
    """The file, if it is one."""
    return Path(address().removeprefix("sqlite:///")) if is_local() else None


def reason(error: Exception) -> str:
    """The innermost cause, in one short line."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"[:200]


def client() -> MlflowClient:
    """A client, of tracking and of the registry."""
    file = database()
    if file is not None and not file.exists():
        _lay_out(file)
    return MlflowClient(tracking_uri=address(), registry_uri=address())


def _lay_out(database: Path) -> None:
    """Make a new database, whole or not at all, by one process at a time: MLflow's own first steps
    fail when two take them at once, and for ever after one was killed on the way."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".lock-{database.name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            with whole_file(database.absolute()) as temporary:
                temporary.unlink(missing_ok=True)
                # In a process of its own: MLflow keeps connections open for as long as it lives.
                command = [sys.executable, "-c", LAY_OUT, f"sqlite:///{temporary}"]
                subprocess.run(command, check=True, capture_output=True)
