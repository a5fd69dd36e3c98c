"""Runs the pipeline on a schedule: one run at a time, and one run for all missed ones.

A run that is due while another is running waits, and so do runs that were missed while nothing
served or the machine slept. Of the waiting runs, only the newest does the work (`flows.missed`).
"""

import contextlib
import os
import zoneinfo
from pathlib import Path

from prefect.client.schemas.schedules import CronSchedule
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.addresses import without_credentials
from flows.errors import BAD_INPUT, RunError
from flows.pipeline import pipeline
from flows.server import PREFECTS_PORT, configured_server, local_server

NAME = "scheduled"


def cron_schedule(cron: str) -> Schedule:
    """Parse a crontab line, in this machine's time zone.

    Raises:
        RunError: It is not a crontab line.
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


def serve_pipeline(schedule: Schedule, *, keep_models: bool = False) -> None:
    """Run the pipeline on a schedule, until stopped.

    Uses the configured Prefect server; without one, starts a local server meanwhile.
    """
    configured = configured_server()
    server = contextlib.nullcontext(configured) if configured else local_server(PREFECTS_PORT)
    with server as url:
        print(f"Prefect's page: {without_credentials(url).removesuffix('/api')}", flush=True)
        print("waiting for the schedule; press ctrl-C to stop", flush=True)
        pipeline.serve(
            name=NAME,
            schedule=schedule,
            parameters={"keep_models": keep_models},
            limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
            print_starting_message=False,
        )


def _time_zone() -> str:
    """Name of this machine's time zone; UTC if it has none."""
    named = os.environ.get("TZ", "").lstrip(":") or str(Path("/etc/localtime").resolve())
    name = named.rpartition("zoneinfo/")[2]
    return name if name in zoneinfo.available_timezones() else "UTC"
