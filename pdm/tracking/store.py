"""Sends records to MLflow: the one file that imports it.

Sending is idempotent: what the record says has arrived is left alone, and the record is saved after
each thing that arrives. A point that arrives twice all the same (a kill between the two) has the
same time and value, and MLflow keeps it once.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

# Before the import, which reads them. An outage must cost seconds, not the defaults' many minutes.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from PIL import Image  # noqa: E402

from pdm.tracking.record import FAILED, FINISHED, KILLED, RUNNING, Record, Sent  # noqa: E402

for _noisy in ("alembic", "mlflow"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

PARAMS_PER_CALL, METRICS_PER_CALL = 100, 500  # MLflow's limits are 100 and 1000
LONGEST_DIGEST = 36
RUN_KEY = "pyramid.pipeline_run"  # tag of a parent run, by which its later stages find it


def address() -> str:
    """Where runs are sent: MLFLOW_TRACKING_URI, or a file of this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def shown_address() -> str:
    """The same for people to read: without a password."""
    parts = urlsplit(address())
    return (
        urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        if parts.netloc
        else address()
    )


def is_local() -> bool:
    """Whether that is a file: never away, at worst slow."""
    return address().startswith("sqlite:")


class Store:
    """A connection to one MLflow. Any method may raise whatever an outage raises."""

    def __init__(self) -> None:
        self.uri = address()
        self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        self._experiment = ""

    def send(self, record: Record, folder: Path) -> int:
        """Send what has not arrived; return the number of points sent."""
        if record.sent.uri != self.uri:
            record.sent = Sent(uri=self.uri)
        try:
            return self._send(record, folder)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # its database was removed since
                self._experiment = ""
                record.sent = Sent()
            raise

    def _send(self, record: Record, folder: Path) -> int:
        self._open_run(record, folder)
        self._send_facts(record, folder)
        num_points = self._send_events(record, folder)
        self._send_scores(record, folder)
        self._send_files(record, folder)
        self._send_status(record, folder)
        return num_points

    def _open_run(self, record: Record, folder: Path) -> None:
        sent = record.sent
        self._experiment = self._experiment or self._find_experiment()
        if not sent.parent_id:
            sent.parent_id = self._find_parent(record)
            record.save(folder)
        if not sent.run_id:
            run = self._client.create_run(
                self._experiment,
                start_time=_milliseconds(record.began),
                run_name=record.stage,
                tags={"mlflow.parentRunId": sent.parent_id, "pyramid.stage": record.stage},
            )
            sent.run_id, sent.status = run.info.run_id, RUNNING
            record.save(folder)
        if record.status == RUNNING and sent.status != RUNNING:  # resumed
            for run_id in (sent.run_id, sent.parent_id):
                self._client.update_run(run_id, status=RUNNING)
            sent.status = RUNNING
            record.save(folder)

    def _find_experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "pyramid-diffusion"
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        artifacts = Path("mlartifacts").resolve().as_uri() if is_local() else None
        return str(self._client.create_experiment(name, artifact_location=artifacts))

    def _find_parent(self, record: Record) -> str:
        found = self._client.search_runs(
            [self._experiment], f"tags.`{RUN_KEY}` = '{record.parent}'", max_results=1
        )
        if found:
            self._client.update_run(found[0].info.run_id, status=RUNNING)
            return str(found[0].info.run_id)
        run = self._client.create_run(
            self._experiment,
            start_time=_milliseconds(record.began),
            run_name=f"pipeline {record.parent.removeprefix('params-')[:8]}",
            tags={RUN_KEY: record.parent, **_code(record.tags)},
        )
        return str(run.info.run_id)

    def _send_facts(self, record: Record, folder: Path) -> None:
        if record.sent.facts:
            return
        run_id, parent_id = record.sent.run_id, record.sent.parent_id
        tags = [RunTag(name, value) for name, value in record.tags.items()]
        self._client.log_batch(run_id, tags=tags, synchronous=True)
        params = list(record.params.items())
        for start in range(0, len(params), PARAMS_PER_CALL):
            some = params[start : start + PARAMS_PER_CALL]
            own = [Param(name, value) for name, value in some]
            shared = [Param(f"{record.stage}.{name}", value) for name, value in some]
            self._client.log_batch(run_id, params=own, synchronous=True)
            self._client.log_batch(parent_id, params=shared, synchronous=True)
        if record.data:
            data = Dataset(
                name=record.data["name"],
                digest=record.data["digest"][:LONGEST_DIGEST],
                source_type="local",
                source=json.dumps({"uri": record.data["source"]}),
            )
            self._client.log_inputs(run_id, [DatasetInput(data)])
        record.sent.facts = True
        record.save(folder)

    def _send_events(self, record: Record, folder: Path) -> int:
        events = record.unsent_events(folder)
        points = [
            Metric(name, value, _milliseconds(event["seconds"]), event["images_seen"])
            for event in events
            for name, value in event["values"].items()
        ]
        for start in range(0, len(points), METRICS_PER_CALL):
            some = points[start : start + METRICS_PER_CALL]
            self._client.log_batch(record.sent.run_id, metrics=some, synchronous=True)
            for point in some:
                record.sent.steps[point.key] = point.step
            record.save(folder)
        for event in (event for event in events if event["kind"] == "picture"):
            self._send_picture(record, folder, event)
        record.name_nonfinite(name for event in events for name in event.get("nonfinite", ()))
        if record.nonfinite != record.sent.nonfinite:
            names = list(record.nonfinite)
            self._client.set_tag(record.sent.run_id, "pyramid.nonfinite", ", ".join(names))
            record.sent.nonfinite = names
            record.save(folder)
        return len(points)

    def _send_picture(self, record: Record, folder: Path, event: dict[str, Any]) -> None:
        file = folder / event["path"]
        if file.exists():
            with Image.open(file) as picture:
                self._client.log_image(
                    record.sent.run_id,
                    picture,
                    key=event["name"],
                    step=event["images_seen"],
                    timestamp=_milliseconds(event["seconds"]),
                    synchronous=True,
                )
        record.sent.steps[f"picture:{event['name']}"] = event["images_seen"]
        record.save(folder)

    def _send_scores(self, record: Record, folder: Path) -> None:
        scores = dict(record.scores)
        if scores == record.sent.scores:
            return
        when = _milliseconds(record.ended or record.began)
        metrics = [Metric(name, value, when, 0) for name, value in scores.items()]
        for run_id in (record.sent.run_id, record.sent.parent_id):
            self._client.log_batch(run_id, metrics=metrics, synchronous=True)
        record.sent.scores = scores
        record.save(folder)

    def _send_files(self, record: Record, folder: Path) -> None:
        for path in [path for path in record.pictures if path not in record.sent.pictures]:
            if Path(path).is_dir():
                self._client.log_artifacts(record.sent.run_id, path, "pictures")
            elif Path(path).exists():
                self._client.log_artifact(record.sent.run_id, path, "pictures")
            record.sent.pictures.append(path)
            record.save(folder)
        if record.model != record.sent.model:
            if Path(record.model).is_dir():
                self._client.log_artifacts(record.sent.run_id, record.model, "model")
            record.sent.model = record.model
            record.save(folder)

    def _send_status(self, record: Record, folder: Path) -> None:
        status = record.status
        if status == record.sent.status or status not in (FINISHED, FAILED, KILLED):
            return
        for run_id in (record.sent.run_id, record.sent.parent_id):
            self._client.set_terminated(run_id, status, _milliseconds(record.ended))
        record.sent.status = status
        record.save(folder)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _code(tags: dict[str, str]) -> dict[str, str]:
    """The tags that hold for the whole pipeline run."""
    return {name: tags[name] for name in tags if "git" in name}
