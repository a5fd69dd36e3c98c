import contextlib
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from flows.errors import BAD_INPUT, RunError
from flows.report import UP_TO_DATE
from flows.serve import cron_schedule
from flows.stages.stage import environment_of_stages

# The same function as `pyramid serve`, with a schedule that need not wait for the next minute.
SERVE = """
from datetime import timedelta
from flows import environment
if __name__ == "__main__":
    environment.prepare()
    from prefect.schedules import Interval
    from flows.serve import serve_pipeline
    serve_pipeline(Interval(timedelta(seconds={seconds})))
"""


@contextlib.contextmanager
def serving(folder, seconds):
    """The serving process, with its output in the file `log`."""
    (folder / "serve.py").write_text(SERVE.format(seconds=seconds))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "serve.py"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment_of_stages() | {"http_proxy": "http://127.0.0.1:9"},  # no proxy is there
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.5)
    return found


def test_a_scheduled_run_fires_and_the_next_finds_everything_up_to_date(toy, server):
    log = toy / "log"
    with serving(toy, seconds=10):
        wait_for(lambda: "third: done" in log.read_text(), "the first scheduled run")
        wait_for(lambda: "everything is up to date" in log.read_text(), "the second one")
    assert (toy / "scores.json").exists()
    assert "Prefect's page: http://127.0.0.1:" in log.read_text()


def test_of_the_runs_that_were_missed_only_the_newest_works(toy, server):
    with get_client(sync_client=True) as client, serving(toy, seconds=3600):
        deployment = wait_for(lambda: served(client), "the deployment")
        now = datetime.now(UTC)
        missed = []
        for days in (1, 2):
            state = Scheduled(scheduled_time=now - timedelta(days=days))
            missed.append(client.create_flow_run_from_deployment(deployment.id, state=state).id)
        runs = wait_for(lambda: ended(client, missed), "both runs to end")
    work = {run.name: run.total_run_time for run in runs}
    text = (toy / "log").read_text()
    assert text.count("third: done") == 1, work
    # Whether the other begins before the newest depends on when the runner looks.
    left = text.count("a newer run of the schedule is already due")
    assert left + text.count(UP_TO_DATE) >= 1


def served(client):
    with contextlib.suppress(ObjectNotFound):
        found = client.read_deployment_by_name("pipeline/scheduled")
        recent = datetime.now(UTC) - found.updated < timedelta(seconds=30)
        return found if recent and not found.paused else None


def ended(client, run_ids):
    runs = [client.read_flow_run(run_id) for run_id in run_ids]
    return runs if all(run.state.type == StateType.COMPLETED for run in runs) else None


def test_an_invalid_cron_line_is_refused_with_an_example():
    with pytest.raises(RunError, match="five fields") as error:
        cron_schedule("every night")
    assert error.value.exit_code == BAD_INPUT
