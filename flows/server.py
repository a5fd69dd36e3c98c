"""Finds the configured Prefect server, or runs a local one while it is needed."""

import atexit
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO

import psutil
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    PREFECT_UI_URL,
    get_current_settings,
    temporary_settings,
)

from flows.addresses import without_credentials
from flows.environment import hide_proxies
from flows.errors import UNAVAILABLE, RunError
from flows.stages.stage import command_ending_with_parent, with_our_paths

PREFECTS_PORT = 4200
SECONDS_TO_START = 90.0
SECONDS_TO_ANSWER = 5.0
WANTS_A_PASSWORD = (401, 403)  # HTTP status; Prefect's client sends the password
MAX_REASON_CHARACTERS = 200
FAULTS_OF_DATABASES = ("sqlalchemy.", "sqlite3.", "alembic.")  # the last: of another version
# The server's errors go to its log. `flows.environment` switches them off elsewhere.
LOG_SETTINGS = {
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
}


def configured_server() -> str | None:
    """Return the address of the server in PREFECT_API_URL or the profile; None if there is none.

    Raises:
        RunError: The server does not answer.
    """
    url = get_current_settings().api.url
    if url is None:
        return None
    if fault := _fault_of(url):
        raise RunError(
            f"Prefect's server at {without_credentials(url)} {fault}; start it, correct "
            "PREFECT_API_URL, which ends in /api, or unset it (and `prefect config unset "
            "PREFECT_API_URL`) to run without one",
            UNAVAILABLE,
        )
    return str(url)


def start_server_until_exit() -> None:
    """Start a local server without pages. It ends with this process, after Prefect's client has
    sent its last reports."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)  # functions registered later are called before it
    stack.enter_context(local_server(PREFECT_UI_ENABLED="0", PREFECT__SERVER_EPHEMERAL="1"))


@contextlib.contextmanager
def local_server(preferred_port: int = 0, **settings: str) -> Iterator[str]:
    """Run a server on loopback during the block; yield its address.

    Args:
        preferred_port: Used if it is free; otherwise, and with 0, the system chooses one.
        settings: Additional environment variables of the server.

    Raises:
        RunError: It does not start.
    """
    hide_proxies()
    port = _free_port(preferred_port)
    pages = {"PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api"}  # or they ask port 4200
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            command_ending_with_parent(
                "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=pages | with_our_paths(os.environ) | LOG_SETTINGS | settings,
            start_new_session=True,  # ctrl-C must not reach it before the runner has ended
        )
        yield from _use(server, port, log)


def _use(server: "subprocess.Popen[bytes]", port: int, log: IO[str]) -> Iterator[str]:
    """Point Prefect's settings to the server while it is in use, then end it."""
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_ready(server, port, url, log)
        os.environ["PREFECT_API_URL"] = url  # for the runs, which are child processes
        with temporary_settings({PREFECT_API_URL: url, PREFECT_UI_URL: url.removesuffix("/api")}):
            yield url
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RunError("no free port for Prefect's server", UNAVAILABLE)


def _wait_until_ready(server: "subprocess.Popen[bytes]", port: int, url: str, log: IO[str]) -> None:
    """Return as soon as the server itself answers, not another one that took the port first."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        if _listens(server.pid, port) and not _fault_of(url):
            return
        time.sleep(0.5)
    error = "" if server.poll() is None else _last_error(log)
    why = f"({error})" if error else f"within {SECONDS_TO_START:.0f} s"
    raise RunError(
        f"Prefect's server did not start {why}; {_advice_on_database(error)}"
        f"`{sys.executable} -m prefect server start` shows its output",
        UNAVAILABLE,
    )


def _advice_on_database(error: str) -> str:
    """Say what to do about a file that the server cannot use as its database."""
    scheme, _, path = PREFECT_API_DATABASE_CONNECTION_URL.value().partition(":///")
    if not (scheme.startswith("sqlite") and error.startswith(FAULTS_OF_DATABASES)):
        return ""
    return (
        f"if its database {path} is damaged, or was written by a newer Prefect, move it away, "
        "since it only records past runs; "
    )


def _listens(pid: int, port: int) -> bool:
    """Whether the process, or one that it started, waits for connections on the port."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for each in (process, *process.children(recursive=True))
            for connection in each.net_connections("tcp")
        )
    return False


def _last_error(log: IO[str]) -> str:
    """The last error in the server's log."""
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["no output"])[-1][:MAX_REASON_CHARACTERS]


def _fault_of(url: str) -> str:
    """What is wrong with the server at this address of an API; empty if it can be used."""
    health = f"{without_credentials(url).rstrip('/')}/health"
    try:
        with urllib.request.urlopen(health, timeout=SECONDS_TO_ANSWER) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        if error.code in WANTS_A_PASSWORD:
            return ""
        # Of a reverse proxy: its server is away (502 to 504), or has another prefix (404).
        return f"answers with HTTP status {error.code}"
    except OSError:
        return "does not answer"
    try:
        json.loads(content)
    except ValueError:
        return "answers with a page, not as an API"
    return ""
