"""What to do about runs of a schedule that were missed: the newest makes up for all of them."""

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
    """Whether this run belongs to a schedule whose next run should have begun by now."""
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
        found = client.read_flow_runs(flow_run_filter=due)
    return any(run.expected_start_time and run.expected_start_time > scheduled for run in found)
