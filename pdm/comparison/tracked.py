"""Reads a run from MLflow."""

from collections.abc import Mapping
from pathlib import Path

from pdm.comparison.folders import pictures_of
from pdm.comparison.run import Curve, Run
from pdm.tracking.reader import PipelineRun, Reader, StageRun
from pdm.tracking.registry import replicates

COST = "cost/"
NOT_CURVES = ("system/", COST)
ARTIFACTS = f"pictures/{replicates.FILE_NAME}"
FACTS = {
    "code": "mlflow.source.git.commit",
    "code differed from it": "pyramid.git.dirty",
    "dvc.lock": "pyramid.dvc_lock.sha256",
}


def read(reader: Reader, pipeline_run: PipelineRun, folder: Path) -> Run:
    """Load the run, and download its files into `folder`."""
    evaluated = pipeline_run.stages.get("evaluate")
    latest = list(pipeline_run.stages.values())[-1:]
    return Run(
        name=pipeline_run.name,
        origin=pipeline_run.run_id,
        status=evaluated.status if evaluated else (latest[0].status if latest else ""),
        params=_params(pipeline_run),
        facts=_facts(pipeline_run),
        scores=_scores(evaluated) if evaluated else {},
        replicates=_replicates(reader, evaluated, folder) if evaluated else None,
        curves=_curves(reader, pipeline_run),
        pictures=_pictures(reader, evaluated, folder) if evaluated else {},
        costs=_costs(pipeline_run),
    )


def _params(pipeline_run: PipelineRun) -> dict[str, str]:
    """Return the params of the pipeline, or of a stage that ran by itself."""
    own = {
        f"{stage}.{name}": value
        for stage, run in pipeline_run.stages.items()
        for name, value in run.params.items()
    }
    return pipeline_run.params | own


def _facts(pipeline_run: PipelineRun) -> dict[str, str]:
    facts: dict[str, str] = {}
    for stage, run in pipeline_run.stages.items():
        facts |= {name: run.tags[tag] for name, tag in FACTS.items() if tag in run.tags}
        if "pyramid.data.sha256" in run.tags:
            name = "latents" if stage == "diffusion" else "pictures"
            facts[f"version of {name}"] = run.tags["pyramid.data.sha256"]
    return facts


def _scores(evaluated: StageRun) -> dict[str, float]:
    return {
        name: value for name, value in evaluated.metrics.items() if not name.startswith(NOT_CURVES)
    }


def _costs(pipeline_run: PipelineRun) -> dict[str, Mapping[str, float]]:
    by_stage: dict[str, Mapping[str, float]] = {}
    for stage, run in pipeline_run.stages.items():
        costs = {
            name.removeprefix(COST): value
            for name, value in run.metrics.items()
            if name.startswith(COST)
        }
        if costs:
            by_stage[stage] = costs
    return by_stage


def _curves(reader: Reader, pipeline_run: PipelineRun) -> dict[str, Curve]:
    return {
        f"{stage}/{name}": reader.history(run, name)
        for stage, run in pipeline_run.stages.items()
        if stage != "evaluate"
        for name in sorted(run.metrics)
        if not name.startswith(NOT_CURVES) and "seconds" not in name
    }


def _replicates(reader: Reader, evaluated: StageRun, folder: Path) -> replicates.Replicates | None:
    path = reader.download(evaluated, ARTIFACTS, folder)
    return replicates.read(path) if path else None


def _pictures(reader: Reader, evaluated: StageRun, folder: Path) -> dict[int, Path]:
    path = reader.download(evaluated, "samples", folder)
    return pictures_of(path) if path else {}
