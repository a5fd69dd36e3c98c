"""Keeps the pipeline on a schedule: one run at a time, and one run for all that were missed.

A run that is due while another is at work waits, as do runs that were missed while nothing served
or the machine slept; of those that wait, only the newest does anything (`flows.missed`).
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

from prefect.client.schemas.schedules import CronSchedule
from prefect.schedules import Cron, Schedule
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_UI_URL,
    get_current_settings,
    temporary_settings,
)
from prefect.types.entrypoint import EntrypointType

from flows.errors import BAD_INPUT, UNAVAILABLE, RunError
from flows.pipeline import pipeline
from flows.stage import die_with_parent, environment_of_stages

NAME = "scheduled"
USUAL_PORT = 4200
SECONDS_TO_START = 90.0


def cron_schedule(cron: str) -> Schedule:
    """The schedule that a crontab line means, in this machine's time zone.

    Raises:
        RunError: It is no crontab line.
    """
    try:
        CronSchedule(cron=cron)
        return Cron(cron, timezone=_time_zone())
    except ValueError:
        raise RunError(
            f"--cron '{cron}': expected five fields as in a crontab (minute, hour, day, month, "
            "weekday), such as '0 3 * * *' for 3 every night",
            BAD_INPUT,
        ) from None


def serve_pipeline(schedule: Schedule) -> None:
    """Run the pipeline whenever `schedule` says so, until stopped.

    Uses the Prefect server that PREFECT_API_URL or the profile names; without one it starts a
    local one for as long as it serves.
    """
    configured = get_current_settings().api.url
    server = contextlib.nullcontext(str(configured)) if configured else local_server()
    with server as url:
        print(f"Prefect's page: {url.removesuffix('/api')}", flush=True)
        print("waiting for the schedule; ctrl-C ends", flush=True)
        pipeline.serve(
            name=NAME,
            schedule=schedule,
            limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
            print_starting_message=False,
        )


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


def _time_zone() -> str:
    """Name of this machine's time zone; UTC if it has none."""
    named = os.environ.get("TZ", "").lstrip(":") or str(Path("/etc/localtime").resolve())
    name = named.rpartition("zoneinfo/")[2]
    return name if name in zoneinfo.available_timezones() else "UTC"


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
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(url, timeout=5),
        ):
            return
        time.sleep(0.5)
    raise RunError(
        f"Prefect's server did not start within {SECONDS_TO_START:.0f} s "
        f"(try `{sys.executable} -m prefect server start` to see why)",
        UNAVAILABLE,
    )
