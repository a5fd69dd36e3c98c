"""The flows: one task run per stage of dvc.yaml, in DVC's own order, one at a time.

Two `dvc repro` in one folder would wait for its lock, so parallel work belongs inside a stage, on
Ray. Every line of a stage goes to the terminal and to Prefect's log. Only external failures are
retried: a missing service, a preemption, a signal.
"""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows import report
from flows.errors import StageFailed
from flows.missed import newer_run_is_due
from flows.stages import graph, retraining, stage
from flows.stages.check import check_params
from flows.stages.stage import Outcome

# Which stages form a flow. A stage of dvc.yaml that is not named here runs directly in `pipeline`.
STAGES_OF = {
    "curation": ("scrape", "curate", "shard"),
    "autoencoder": ("autoencoder", "latents"),
    "diffusion": ("diffusion", "sample"),
    "evaluation": ("evaluate",),
}
RETRIES = 2

Names = tuple[str, ...]


async def _worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    failure = await state.aresult(raise_on_failure=False)
    retry = isinstance(failure, StageFailed) and failure.is_retryable
    if retry:
        _say(f"{failure}; trying again if tries are left")
    return retry


def _run_name() -> str:
    """Name the flow run as MLflow names the pipeline run."""
    return f"pipeline {str(runtime.flow_run.id)[:8]}"


@task(
    task_run_name="{name}",
    retries=RETRIES,
    retry_condition_fn=_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def reproduce(name: str, keep_models: bool = False, announced: Names = ()) -> Outcome:
    """Bring one stage up to date; nothing runs if nothing that it reads has changed.

    Args:
        name: Name of the stage.
        keep_models: Fail instead of training a model again.
        announced: Stages whose training was announced already.
    """
    if name not in announced:
        retraining.announce_stage(name, _say, keep_models=keep_models)
    # MLflow's runs find their parent by this id.
    environment = {"PYRAMID_PIPELINE_RUN": str(runtime.flow_run.root_flow_run_id)}
    outcome = stage.reproduce(name, _say, environment)
    _say(report.sentence(outcome))
    report.remember(outcome)
    return outcome


@flow(flow_run_name="curation", validate_parameters=False)
def curation(keep_models: bool = False, announced: Names = ()) -> list[Outcome]:
    """From image sources to shards: scrape, curate, shard."""
    return _reproduce_all(STAGES_OF["curation"], keep_models, announced)


@flow(flow_run_name="autoencoder", validate_parameters=False)
def autoencoder(keep_models: bool = False, announced: Names = ()) -> list[Outcome]:
    """Train the autoencoder and encode the shards with it."""
    return _reproduce_all(STAGES_OF["autoencoder"], keep_models, announced)


@flow(flow_run_name="diffusion", validate_parameters=False)
def diffusion(keep_models: bool = False, announced: Names = ()) -> list[Outcome]:
    """Train the diffusion model and draw images with it."""
    return _reproduce_all(STAGES_OF["diffusion"], keep_models, announced)


@flow(flow_run_name="evaluation", validate_parameters=False)
def evaluation(keep_models: bool = False, announced: Names = ()) -> list[Outcome]:
    """Score the samples, and publish scores and contact sheet as artifacts of the run."""
    outcomes = _reproduce_all(STAGES_OF["evaluation"], keep_models, announced)
    publish()
    return outcomes


@flow(name="pipeline", flow_run_name=_run_name, validate_parameters=False)
def pipeline(keep_models: bool = False) -> list[Outcome]:
    """Bring every stage up to date, stopping at the first that fails.

    Args:
        keep_models: Fail instead of training a model again, before it is removed.
    """
    if newer_run_is_due():
        _say("a newer run of the schedule is already due; skipping this one")
        return []
    check_params()
    stale = graph.stale()
    if not stale:
        _say(report.UP_TO_DATE)
        return []
    announced = retraining.announce(stale, _say, keep_models=keep_models)
    outcomes: list[Outcome] = []
    for name, stages in _parts():
        run = FLOWS.get(name, partial(_reproduce_all, stages))
        outcomes += run(keep_models=keep_models, announced=announced)
    return outcomes


FLOWS = {
    "curation": curation,
    "autoencoder": autoencoder,
    "diffusion": diffusion,
    "evaluation": evaluation,
}


def publish() -> None:
    """Publish scores and contact sheet as artifacts of the flow run, if they exist."""
    results = report.results()
    if results.scores:
        create_markdown_artifact(report.markdown(results), key="scores", description="Scores")
    if results.contact_sheet:
        create_image_artifact(
            report.image_url(results.contact_sheet),
            key="contact-sheet",
            description=str(results.contact_sheet),
        )


def _parts() -> Iterator[tuple[str, list[str]]]:
    """Yield the graph's stages in order, grouped by flow."""
    flow_of = {name: part for part, names in STAGES_OF.items() for name in names}
    order = [each.name for each in graph.stages()]
    for part, names in groupby(order, key=lambda name: flow_of.get(name, "")):
        yield part, list(names)


def _reproduce_all(
    names: tuple[str, ...] | list[str], keep_models: bool, announced: Names
) -> list[Outcome]:
    return [reproduce(name, keep_models, announced) for name in names]


def _say(line: str) -> None:
    """Print a line to the terminal and to Prefect's log."""
    print(line, flush=True)
    if line.strip():
        get_run_logger().info(line.strip("\n"))
