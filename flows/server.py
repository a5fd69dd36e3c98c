"""Prefect's server: the configured one, or a local one while it is needed."""

import atexit
import contextlib
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

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_UI_URL,
    get_current_settings,
    temporary_settings,
)

from flows.addresses import without_credentials
from flows.environment import hide_proxies
from flows.errors import UNAVAILABLE, RunError
from flows.stage import die_with_parent, with_commands_found

USUAL_PORT = 4200
SECONDS_TO_START = 90.0
SECONDS_TO_ANSWER = 5.0
LONGEST_REASON = 200
# Its own log alone gets what it says, which `flows.environment` keeps off the terminal.
TO_ITS_LOG = {
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
    if not _answers(f"{url}/health"):
        raise RunError(
            f"Prefect's server at {without_credentials(url)} does not answer; start it, or unset "
            "PREFECT_API_URL (and `prefect config unset PREFECT_API_URL`) to do without one",
            UNAVAILABLE,
        )
    return str(url)


def start_server_until_exit() -> None:
    """Start a local server without pages, which ends after everything that reports to it: what
    Prefect still has to send when this process ends, it sends before."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)  # the last registered is the first called
    stack.enter_context(local_server(PREFECT_UI_ENABLED="0", PREFECT__SERVER_EPHEMERAL="1"))


@contextlib.contextmanager
def local_server(**settings: str) -> Iterator[str]:
    """The address of a server that only this machine reaches; it is gone after the block.

    Args:
        settings: Variables of its environment.

    Raises:
        RunError: It does not start.
    """
    hide_proxies()
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            die_with_parent(
                "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=with_commands_found(os.environ) | TO_ITS_LOG | settings,
            start_new_session=True,  # ctrl-C must reach it last, or the runner waits for it
        )
        yield from _while_it_runs(server, url, log)


def _while_it_runs(server: "subprocess.Popen[bytes]", url: str, log: IO[str]) -> Iterator[str]:
    try:
        _wait_for(f"{url}/health", server, log)
        os.environ["PREFECT_API_URL"] = url  # for the runs, which are processes of their own
        with temporary_settings({PREFECT_API_URL: url, PREFECT_UI_URL: url.removesuffix("/api")}):
            yield url
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def _free_port() -> int:
    """Prefect's usual port, or any other that is free."""
    for port in (USUAL_PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise RunError("no free port for Prefect's server", UNAVAILABLE)


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: IO[str]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        if _answers(url):
            return
        time.sleep(0.5)
    why = f"within {SECONDS_TO_START:.0f} s" if server.poll() is None else f"({_reason(log)})"
    raise RunError(
        f"Prefect's server did not start {why}; `{sys.executable} -m prefect server start` shows "
        "what it says",
        UNAVAILABLE,
    )


def _reason(log: IO[str]) -> str:
    """The last error in the server's log."""
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing"])[-1][:LONGEST_REASON]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(without_credentials(url), timeout=SECONDS_TO_ANSWER):
            return True
    except urllib.error.HTTPError:  # it is there, and wants something of us
        return True
    except (urllib.error.URLError, OSError):
        return False
