"""MLflow's registry: versions of the model, which is both networks together, and the champion.

A version is a folder, without a signature and without a pickle: `autoencoder/`, `diffusion/` (model
folders, see `pdm.tracking.registry.models`) and `samples.json` with the sampling settings.
"""

import fcntl
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pdm.errors import BadInput, Unavailable
from pdm.files import sha256_of, write_json
from pdm.scratch_folders import scratch_folder
from pdm.tracking.connection.address import (
    EXPERIMENT,
    client,
    database,
    experiment_name,
    shown_address,
)
from pdm.tracking.connection.faults import reason
from pdm.tracking.connection.project import project_root
from pdm.tracking.records.facts import SAMPLES
from pdm.tracking.records.record import Record
from pdm.tracking.registry import replicates
from pdm.tracking.registry.models import log_ema_snapshots, log_model, use_ema_snapshots
from pdm.tracking.registry.promotion import PROMOTED, REFUSED, Decision, Scored, decide

CHAMPION = "champion"
STAGES = ("autoencoder", "diffusion")
MODEL = "model"
PICTURE_SIZE = "pyramid.picture_size"
FILE_NAME = "promotion.json"
LONGEST_NAME, DIGITS = 200, 12  # the registry's tables have columns of 256 characters
GONE = "RESOURCE_DOES_NOT_EXIST"  # error code of a run that was deleted for good
MISSING = (GONE, "INVALID_PARAMETER_VALUE")  # of a missing alias


def model_name() -> str:
    """Return the experiment's name in a form that the registry accepts: without `/` and `:`, and at
    most `LONGEST_NAME` characters (a longer one is cut, and a digest of it is added)."""
    name = re.sub(r"[/:\s]+", "-", experiment_name()).strip("-")
    if not name.strip("."):  # empty, or a name that means a folder
        return EXPERIMENT
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGITS]
    return f"{name[: LONGEST_NAME - DIGITS - 1]}-{digest}"


def promote(connection: MlflowClient, record: Record, folder: Path) -> dict[str, str]:
    """Register a scored model, and promote it to champion if it is better.

    Safe to repeat: a run gets only one version, however often this is interrupted.

    Returns:
        `outcome`, `reason` and, if it was registered, `version`.
    """
    run_id = record.sent.run_id
    changed = _changed(record.candidate)
    if changed:
        return _keep(connection, run_id, folder, {"outcome": REFUSED, "reason": changed})
    version = _version(connection, record)
    candidate = _scored(connection, run_id, f"version {version.version}")
    with _only_decision():
        decision = _decide(connection, run_id, candidate)
        if decision.outcome == PROMOTED:
            connection.set_registered_model_alias(model_name(), CHAMPION, version.version)
    facts = {"outcome": decision.outcome, "reason": decision.reason}
    for name, value in facts.items():
        connection.set_model_version_tag(
            model_name(), version.version, f"pyramid.promotion.{name}", value
        )
    return _keep(connection, run_id, folder, facts | {"version": str(version.version)})


def fetch_champion(folder: Path) -> Path:
    """Download the champion into a folder.

    Raises:
        BadInput: There is no champion.
        Unavailable: MLflow cannot be reached.
    """
    file = database()
    if file is not None and not file.exists():  # `client` would lay one out
        raise BadInput(
            f"MLflow's database {file} does not exist, so it has no champion of '{model_name()}'; "
            "run the pipeline, run this from the project's folder, or set MLFLOW_TRACKING_URI"
        )
    try:
        connection = client()
        champion = _champion(connection)
        if champion is None:
            raise BadInput(
                f"MLflow at {shown_address()} has no champion of '{model_name()}'; run the "
                "pipeline, or set MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME"
            )
        return Path(connection.download_artifacts(str(champion.run_id), MODEL, str(folder)))
    except BadInput:
        raise
    except Exception as error:  # also those of a database's driver
        raise Unavailable(
            f"the champion cannot be downloaded from MLflow at {shown_address()} ({reason(error)})"
        ) from error


@contextmanager
def _only_decision() -> Iterator[None]:
    """Let one process of this project decide at a time, such as those of a queue of experiments.

    Two that both beat the champion would both take its place, and the worse one could be the last.
    MLflow has no such lock, so this can still happen to projects that share a registry.
    """
    lock = project_root() / "runs" / ".lock-champion"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _decide(connection: MlflowClient, run_id: str, candidate: Scored) -> Decision:
    before = _champion(connection)
    if before is not None and before.run_id == run_id:
        return Decision(PROMOTED, "it is the champion already")
    if before is None:
        return decide(candidate, None)
    try:
        champion = _scored_version(connection, before)
    except MlflowException as error:
        if error.error_code != GONE:
            raise
        decision = decide(candidate, None)  # its files are gone, too: nobody can draw from it
        why = f"the run of version {before.version}, the champion until now, was deleted"
        return replace(decision, reason=why) if decision.outcome == PROMOTED else decision
    return decide(candidate, champion)


def _changed(candidate: dict[str, str]) -> str:
    """Say which folder no longer has the scored model; empty if both do."""
    for stage in STAGES:
        weights = Path(candidate[stage]) / "model.safetensors"
        if not weights.is_file() or sha256_of(weights) != candidate[f"{stage}_sha256"]:
            return f"{candidate[stage]} no longer has the model that was scored"
    return ""


def _version(connection: MlflowClient, record: Record) -> ModelVersion:
    """Return the model version of this run; create it if needed."""
    run_id, name = record.sent.run_id, model_name()
    for version in connection.search_model_versions(f"run_id = '{run_id}'"):
        if version.name == name:
            return version
    samples = Path(record.samples) / SAMPLES
    folders = {stage: Path(record.candidate[stage]) for stage in STAGES}
    for stage, model in folders.items():
        log_model(connection, run_id, model, f"{MODEL}/{stage}")
    if use_ema_snapshots(samples):
        log_ema_snapshots(connection, run_id, folders["diffusion"], f"{MODEL}/diffusion")
    connection.log_artifact(run_id, str(samples), MODEL)
    try:
        connection.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{connection.get_run(run_id).info.artifact_uri}/{MODEL}"
    tags = {f"pyramid.{stage}.sha256": record.candidate[f"{stage}_sha256"] for stage in STAGES}
    return connection.create_model_version(name, source, run_id, tags=tags)


def _champion(connection: MlflowClient) -> ModelVersion | None:
    try:
        return connection.get_model_version_by_alias(model_name(), CHAMPION)
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise


def _scored_version(connection: MlflowClient, version: ModelVersion) -> Scored:
    return _scored(connection, str(version.run_id), f"version {version.version}")


def _scored(connection: MlflowClient, run_id: str, name: str) -> Scored:
    run = connection.get_run(run_id)
    setting = run.data.params | {PICTURE_SIZE: run.data.tags.get(PICTURE_SIZE, "")}
    with scratch_folder("promotion") as scratch:
        measured = None
        listed = {file.path for file in connection.list_artifacts(run_id, "pictures")}
        path = f"pictures/{replicates.FILE_NAME}"
        if path in listed:
            measured = replicates.read(
                Path(connection.download_artifacts(run_id, path, str(scratch)))
            )
    return Scored(name, setting, dict(run.data.metrics), measured)


def _keep(
    connection: MlflowClient, run_id: str, folder: Path, facts: dict[str, str]
) -> dict[str, str]:
    """Record the decision as a file, in the run's folder and in MLflow, and as tags."""
    write_json(folder / FILE_NAME, facts)
    connection.log_artifact(run_id, str(folder / FILE_NAME))
    for name, value in facts.items():
        connection.set_tag(run_id, f"pyramid.promotion.{name}", value)
    return facts
