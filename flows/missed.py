"""Handles missed runs of a schedule: only the newest runs."""

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.types import DateTime


def newer_run_is_due() -> bool:
    """Whether the next run of this run's schedule is already due."""
    deployment, scheduled = runtime.deployment.id, runtime.flow_run.scheduled_start_time
    if deployment is None or scheduled is None:
        return False
    due = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(
            after_=scheduled, before_=DateTime.now("UTC")
        ),
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=due)
    return any(run.expected_start_time and run.expected_start_time > scheduled for run in runs)
