"""Reads runs back from MLflow.

A pipeline run is a parent with a child for each stage. A stage that was up to date has no child
there. Its run is found by the digest of the model that drew the evaluated samples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pdm.errors import BadInput, Unavailable
from pdm.tracking.connection.address import client, database, experiment_name, shown_address
from pdm.tracking.connection.faults import reason
from pdm.tracking.records.record import FINISHED
from pdm.tracking.sending.store import RUN_KEY

STAGES = ("autoencoder", "diffusion", "evaluate")
MODEL_TAG = "pyramid.model.sha256"
MAX_RUNS = 5000  # MLflow returns at most 50,000 at once
SHORTEST_PREFIX = 4
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class StageRun:
    """The run of one stage."""

    run_id: str
    stage: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """A pipeline run, with the stages that led to its scores."""

    run_id: str
    name: str
    began: float  # Unix time in seconds
    params: dict[str, str]
    stages: dict[str, StageRun]


class Reader:
    """A read connection to MLflow.

    Raises:
        BadInput: The database does not exist yet.
        Unavailable: MLflow cannot be reached. Any method may raise it.
    """

    def __init__(self) -> None:
        file = database()
        if file is not None and not file.exists():
            raise BadInput(
                f"MLflow's database {file} does not exist; run the pipeline first, name a folder, "
                "or set MLFLOW_TRACKING_URI"
            )
        try:
            self._client = client()
            self._experiments = [
                str(experiment.experiment_id) for experiment in self._client.search_experiments()
            ]
        except Exception as error:
            raise _away(error) from error

    def find(self, name: str) -> PipelineRun:
        """Find a pipeline run by the beginning of its id or key, or of the id of one of its stages.

        Raises:
            BadInput: No run matches, or several do.
        """
        matches = [run for run in self._all() if _matches(run, name)]
        exact = [run for run in matches if run.info.run_id == name]
        parents = {_parent_id(run) for run in exact or matches}
        if not parents:
            raise BadInput(
                f"no run '{name}' in MLflow at {shown_address()}, and no folder of that name; "
                "`pyramid compare --experiment NAME` takes the newest of an experiment"
            )
        if len(parents) > 1:
            known = ", ".join(sorted(parents)[:5])
            raise BadInput(f"'{name}' matches {len(parents)} runs: {known}; give more characters")
        chosen = [run for run in exact if "pyramid.stage" in run.data.tags]
        return self._pipeline(parents.pop(), chosen)

    def of_experiment(self, name: str | None) -> list[PipelineRun]:
        """List the pipeline runs with scores of an experiment (by default this project's), newest
        first.

        Raises:
            BadInput: The experiment does not exist, or has no scores.
        """
        name = name or experiment_name()
        experiment = _try(lambda: self._client.get_experiment_by_name(name))
        if experiment is None:
            known = [each.name for each in _try(self._client.search_experiments)]
            raise BadInput(f"no experiment '{name}' in MLflow; it has: {', '.join(known)}")
        scored = self._search([experiment.experiment_id], "tags.`pyramid.stage` = 'evaluate'")
        parents = {_parent_id(run): None for run in scored if run.info.status == FINISHED}
        if not parents:
            raise BadInput(f"no run of the experiment '{name}' has scores; run 'evaluate' first")
        return [self._pipeline(run_id, []) for run_id in parents]

    def by_model(self, digest: str) -> StageRun | None:
        """Find the newest run that made the model with these weights (sha256)."""
        runs = self._search(self._experiments, f"tags.`{MODEL_TAG}` = '{digest}'")
        return _stage_run(runs[0]) if runs else None

    def history(self, run: StageRun, metric: str) -> list[tuple[int, float]]:
        """Return a metric's values by step."""
        points = _try(lambda: self._client.get_metric_history(run.run_id, metric))
        return [(point.step, point.value) for point in points]

    def download(self, run: StageRun, path: str, folder: Path) -> Path | None:
        """Fetch an artifact, a file or a folder, into `folder`; None if the run has none there."""
        try:
            parent = path.rpartition("/")[0]
            names = {file.path for file in self._client.list_artifacts(run.run_id, parent or None)}
            if path not in names:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(run.run_id, path, str(folder)))
        except (OSError, MlflowException):  # missing on disk; the page says so
            return None

    def _pipeline(self, run_id: str, chosen: list[Run]) -> PipelineRun:
        """Load a pipeline run with the chosen stages, or with the newest finished run of each
        stage."""
        parent = _try(lambda: self._client.get_run(run_id))
        children = self._search(
            [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'"
        )
        stages: dict[str, StageRun] = {}
        for stage in STAGES:
            of_stage = [run for run in children if run.data.tags.get("pyramid.stage") == stage]
            ended = [run for run in of_stage if run.info.status == FINISHED]
            named = [run for run in chosen if run.data.tags["pyramid.stage"] == stage]
            if best := (named or ended or of_stage):
                stages[stage] = _stage_run(best[0])
        if "evaluate" in stages:
            stages |= self._makers(stages["evaluate"])
        return PipelineRun(
            run_id,
            parent.info.run_name or run_id[:8],
            parent.info.start_time / 1000,
            dict(parent.data.params),
            stages,
        )

    def _makers(self, evaluated: StageRun) -> dict[str, StageRun]:
        """Find the runs that made the evaluated models, as far as they are known."""
        digests = {
            stage: evaluated.tags.get(f"pyramid.{stage}.sha256", "")
            for stage in ("autoencoder", "diffusion")
        }
        runs = {stage: self.by_model(digest) for stage, digest in digests.items() if digest}
        return {stage: run for stage, run in runs.items() if run is not None}

    def _all(self) -> Iterator[Run]:
        return iter(self._search(self._experiments, ""))

    def _search(self, experiments: list[str], query: str) -> list[Run]:
        """Search runs, newest first."""
        return list(
            _try(
                lambda: self._client.search_runs(
                    experiments, query, max_results=MAX_RUNS, order_by=["start_time DESC"]
                )
            )
        )


def _try(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except Exception as error:
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    return Unavailable(f"MLflow at {shown_address()} cannot be read ({reason(error)})")


def _matches(run: Run, name: str) -> bool:
    if len(name) < SHORTEST_PREFIX:
        return False
    key = run.data.tags.get(RUN_KEY, "")
    return bool(
        run.info.run_id.startswith(name)
        or key.startswith(name)
        or key.removeprefix("params-").startswith(name)
        or (RUN_KEY in run.data.tags and run.info.run_name == name)
    )


def _parent_id(run: Run) -> str:
    return str(run.data.tags.get("mlflow.parentRunId", run.info.run_id))


def _stage_run(run: Run) -> StageRun:
    return StageRun(
        run.info.run_id,
        run.data.tags.get("pyramid.stage", ""),
        run.info.status,
        dict(run.data.params),
        dict(run.data.tags),
        dict(run.data.metrics),
    )
