"""The address of MLflow, and a client for it.

An outage must cost seconds, not MLflow's default of many minutes, so time-outs are set before its
import.
"""

import fcntl
import logging
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402

from pdm.files import atomic_file  # noqa: E402
from pdm.tracking.connection.project import is_temporary, project_root  # noqa: E402
from pdm.tracking.connection.redaction import split_address, without_credentials  # noqa: E402

for _noisy in ("alembic", "mlflow"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

LAY_OUT = """
import sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1], registry_uri=sys.argv[1])
client.search_experiments(), client.search_registered_models()
"""
EXPERIMENT = "pyramid-diffusion"
SQLITE = "sqlite:///"
LOOPBACK = ("127.0.0.1", "localhost")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # schemes that MLflow opens by itself
ATTEMPTS = 3  # at a database; MLflow makes ten, with pauses of 100 seconds in all
DEFAULT_ADDRESS = f"{SQLITE}mlflow.db"


def address() -> str:
    """Return the address that runs are sent to: MLFLOW_TRACKING_URI, or a database of the project.
    Relative paths start at the project, even if DVC runs the stage in a temporary copy."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_ADDRESS
    return _from_project(named) if is_temporary() else named


def experiment_name() -> str:
    """Return the experiment's name: MLFLOW_EXPERIMENT_NAME, or the project's."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or EXPERIMENT


def shown_address() -> str:
    """Return the address for display: without credentials, and with the project's database by its
    relative path, so that it is the same in a temporary copy."""
    file = database()
    if file is not None and file.is_absolute() and file.is_relative_to(project_root()):
        return f"{SQLITE}{file.relative_to(project_root())}"
    return without_credentials(address())


def is_local() -> bool:
    """Whether MLflow is a local file, which is always available."""
    return address().startswith("sqlite:")


def database() -> Path | None:
    """Return the database file; None if MLflow is not a file."""
    return Path(address().removeprefix(SQLITE)) if is_local() else None


def artifacts() -> str | None:
    """Return the artifact location of a new experiment; None lets the server choose."""
    return (project_root() / "mlartifacts").as_uri() if is_local() else None


def client() -> MlflowClient:
    """Make a client for tracking and registry."""
    _pass_by_proxies()
    file = database()
    if file is not None and not file.exists():
        _lay_out(file)
    uri = _with_credentials_apart(address())
    if uri.partition(":")[0].partition("+")[0] in DATABASES:
        _limit_attempts()
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _limit_attempts() -> None:
    """Make a database that cannot be opened fail in seconds. MLflow has no setting for it."""
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = ATTEMPTS


def _pass_by_proxies() -> None:
    """Bypass proxies for a server on this machine, since they cannot reach it."""
    known = ",".join(os.environ.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    hosts = dict.fromkeys(filter(None, (*map(str.strip, known), *LOOPBACK)))
    os.environ |= {"no_proxy": ",".join(hosts), "NO_PROXY": ",".join(hosts)}


def _with_credentials_apart(uri: str) -> str:
    """Move user and password from the address to MLflow's environment variables. MLflow prints the
    full address, also in errors, and misreads one whose password has a `/`."""
    scheme, credentials, rest = split_address(uri)
    user, _, password = credentials.partition(":")
    if not scheme.startswith("http") or not (user and password):
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(user)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(password)
    return scheme + rest


def _from_project(named: str) -> str:
    """Make the path of an address absolute."""
    if named.startswith(SQLITE):
        return f"{SQLITE}{project_root() / named.removeprefix(SQLITE)}"
    if "://" in named or named.startswith("databricks"):
        return named
    return str(project_root() / named.removeprefix("file:"))


def _lay_out(database: Path) -> None:
    """Create a new database atomically, by one process at a time. MLflow's own initialisation fails
    if two processes run it at once, and fails forever after a kill."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".lock-{database.name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            with atomic_file(database.absolute()) as temporary:
                temporary.unlink(missing_ok=True)
                # In a separate process, since MLflow keeps connections open as long as it lives.
                # By its name alone: SQLAlchemy ends a path at a question mark.
                command = [sys.executable, "-c", LAY_OUT, f"{SQLITE}{temporary.name}"]
                subprocess.run(command, check=True, capture_output=True, cwd=temporary.parent)
