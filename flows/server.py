"""Prefect's server: the one that is configured, or a local one for as long as it is needed."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_UI_URL,
    get_current_settings,
    temporary_settings,
)

from flows.errors import UNAVAILABLE, RunError
from flows.stage import die_with_parent, environment_of_stages

USUAL_PORT = 4200
SECONDS_TO_START = 90.0


def configured_server() -> str | None:
    """Address of the server that PREFECT_API_URL or the profile names; None if none is named.

    Raises:
        RunError: It does not answer.
    """
    url = get_current_settings().api.url
    if url is None:
        return None
    if not _answers(f"{url}/health"):
        raise RunError(
            f"Prefect's server at {url} does not answer; start it, or unset PREFECT_API_URL "
            "(and `prefect config unset PREFECT_API_URL`) to do without one",
            UNAVAILABLE,
        )
    return str(url)


@contextlib.contextmanager
def local_server() -> Iterator[str]:
    """A server that only this machine reaches; it is gone after the block."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    server = subprocess.Popen(
        die_with_parent("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment_of_stages(),
        start_new_session=True,  # ctrl-C must reach it last, or the runner waits for it
    )
    try:
        _wait_for(f"{url}/health", server)
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


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        if _answers(url):
            return
        time.sleep(0.5)
    raise RunError(
        f"Prefect's server did not start within {SECONDS_TO_START:.0f} s "
        f"(try `{sys.executable} -m prefect server start` to see why)",
        UNAVAILABLE,
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:  # it is there, and wants something of us
        return True
    except (urllib.error.URLError, OSError):
        return False
