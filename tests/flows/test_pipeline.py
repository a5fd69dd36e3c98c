import json
import time
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)

from flows import pipeline
from flows.errors import StageFailed

FAILS_ONCE = """
import pathlib, sys
again = pathlib.Path('again')
if not again.exists():
    again.touch()
    sys.exit({code})
open('one.txt', 'w').write('1')
"""


@pytest.fixture(autouse=True)
def _prefect(server):
    """Every test here talks to the same server."""


def run_of(state):
    return state.state_details.flow_run_id


def query_server(method, **filters):
    with get_client(sync_client=True) as client:
        return getattr(client, method)(**filters)


def test_one_task_run_per_stage_in_the_graphs_order(toy):
    state = pipeline.pipeline(return_state=True)
    assert [outcome.stage for outcome in state.result()] == ["first", "second", "third"]
    runs = query_server("read_task_runs", flow_run_filter=of(state))
    assert sorted(run.name for run in runs) == ["first", "second", "third"]
    assert all(run.state.is_completed() for run in runs)


def test_the_stages_lines_stand_in_prefects_log(toy):
    state = pipeline.pipeline(return_state=True)
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_of(state)]))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # they are sent in batches
        messages = [log.message for log in query_server("read_logs", log_filter=mine)]
        if "second: wrote a page" in messages:
            break
        time.sleep(0.5)
    assert messages.count("first: wrote a one") == 1
    assert messages.count("second: wrote a page") == 1


def test_scores_and_contact_sheet_become_artifacts(toy):
    @flow
    def only_publishing():
        pipeline.publish()

    pipeline.pipeline()
    state = only_publishing(return_state=True)
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_of(state)]))
    found = {
        artifact.key: artifact for artifact in query_server("read_artifacts", artifact_filter=mine)
    }
    assert "| near.distance | 1.25 |" in found["scores"].data
    assert found["contact-sheet"].data.startswith("data:image/png;base64,")


def test_what_failed_from_outside_is_tried_again(toy, script, capsys):
    script(FAILS_ONCE.format(code=4))
    state = pipeline.pipeline(return_state=True)
    assert state.is_completed()
    runs = query_server("read_task_runs", flow_run_filter=of(state))
    assert {run.name: run.run_count for run in runs} == {"first": 2, "second": 1, "third": 1}


@pytest.mark.parametrize("code", [2, 3])
def test_bad_input_and_broken_gates_are_not_tried_again(toy, script, code):
    script(FAILS_ONCE.format(code=code))
    with pytest.raises(StageFailed) as error:
        pipeline.pipeline()
    assert error.value.exit_code == code
    assert not Path("two").exists()


def test_nothing_stale_ends_at_once_and_says_so(toy, capsys):
    pipeline.pipeline()
    began = time.monotonic()
    state = pipeline.pipeline(return_state=True)
    assert time.monotonic() - began < 10
    assert "everything is up to date" in capsys.readouterr().out
    assert query_server("read_task_runs", flow_run_filter=of(state)) == []


def test_what_came_out_is_remembered_for_the_next_table(toy):
    pipeline.pipeline()
    kept = json.loads(Path("runs/stages.json").read_text())
    assert kept["second"]["summary"] == "wrote a page"


def of(state):
    return FlowRunFilter(id=FlowRunFilterId(any_=[run_of(state)]))
