import contextlib
import json
import shutil
import time
import urllib.request
from dataclasses import dataclass
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
from prefect.client.schemas.objects import State

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


@dataclass(frozen=True)
class Finished:
    folder: Path
    state: State


@pytest.fixture(scope="module")
def finished(new_toy, server, tmp_path_factory):
    """A project after its first run; the tests below only look."""
    folder = shutil.copytree(new_toy, tmp_path_factory.mktemp("run"), dirs_exist_ok=True)
    with contextlib.chdir(folder):
        return Finished(folder, pipeline.pipeline(return_state=True))


def run_of(state):
    return state.state_details.flow_run_id


def query_server(method, **filters):
    with get_client(sync_client=True) as client:
        return getattr(client, method)(**filters)


def test_one_task_run_per_stage_in_the_graphs_order(finished):
    assert [outcome.stage for outcome in finished.state.result()] == ["first", "second", "third"]
    runs = query_server("read_task_runs", flow_run_filter=of(finished.state))
    assert sorted(run.name for run in runs) == ["first", "second", "third"]
    assert all(run.state.is_completed() for run in runs)


def test_the_servers_pages_ask_the_server_itself(server):
    with urllib.request.urlopen(f"{server.removesuffix('/api')}/ui-settings") as answer:
        assert json.load(answer)["api_url"] == server


def test_flow_runs_are_named_as_in_mlflow_and_parts_by_their_stages(finished):
    [run] = query_server("read_flow_runs", flow_run_filter=of(finished.state))
    assert run.name == f"pipeline {str(run.id)[:8]}"
    assert [part.flow_run_name for part in pipeline.FLOWS.values()] == list(pipeline.FLOWS)


def test_the_stages_lines_stand_in_prefects_log(finished):
    mine = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_of(finished.state)]))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # they are sent in batches
        messages = [log.message for log in query_server("read_logs", log_filter=mine)]
        if "second: wrote a page" in messages:
            break
        time.sleep(0.5)
    assert messages.count("first: wrote a one") == 1
    assert messages.count("second: wrote a page") == 1


def test_scores_and_contact_sheet_become_artifacts(done):
    @flow
    def only_publishing():
        pipeline.publish()

    state = only_publishing(return_state=True)
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_of(state)]))
    found = {
        artifact.key: artifact for artifact in query_server("read_artifacts", artifact_filter=mine)
    }
    assert "| near.distance | 1.25 |" in found["scores"].data
    assert found["contact-sheet"].data.startswith("data:image/png;base64,")


def test_what_came_out_is_remembered_for_the_next_table(finished):
    kept = json.loads((finished.folder / "runs/stages.json").read_text())
    assert kept["second"]["summary"] == "wrote a page"


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


def test_nothing_stale_ends_at_once_and_says_so(done, capsys):
    began = time.monotonic()
    state = pipeline.pipeline(return_state=True)
    assert time.monotonic() - began < 30  # seconds, also beside other work
    assert "everything is up to date" in capsys.readouterr().out
    assert query_server("read_task_runs", flow_run_filter=of(state)) == []


def of(state):
    return FlowRunFilter(id=FlowRunFilterId(any_=[run_of(state)]))
