"""Sends records to MLflow.

Sending is idempotent: what the record says has arrived is left alone, and the record is saved after
each thing that arrives. A point that arrives twice all the same (a kill between the two) has the
same time and value, and MLflow keeps it once.
"""

import logging
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from PIL import Image

from pdm.tracking.connection.address import address, client, experiment_name, is_local
from pdm.tracking.records.facts import first_samples
from pdm.tracking.records.record import FAILED, FINISHED, KILLED, RUNNING, Record, Sent
from pdm.tracking.registry.champion import promote
from pdm.tracking.registry.models import log_model
from pdm.tracking.sending.entities import code_tags, dataset, equal, milliseconds

logger = logging.getLogger(__name__)

PARAMS_PER_CALL, METRICS_PER_CALL = 100, 500  # MLflow's limits are 100 and 1000
LONGEST_PARAM = 6000
GONE, IN_THE_BIN = "RESOURCE_DOES_NOT_EXIST", ("INVALID_PARAMETER_VALUE", "INVALID_STATE")
MODELS_NOT_CHATS = {"mlflow.experimentKind": "custom_model_development"}  # opens its pages there
RUN_KEY = "pyramid.pipeline_run"  # tag of a parent run, by which its later stages find it


class Store:
    """A connection to one MLflow. Any method may raise whatever an outage raises."""

    def __init__(self) -> None:
        self.uri = address()
        self._client = client()
        self._experiment = ""

    def send(self, record: Record, folder: Path) -> int:
        """Send what has not arrived; return the number of points sent."""
        if record.sent.uri != self.uri:
            record.sent = Sent(uri=self.uri)
        try:
            return self._send(record, folder)
        except MlflowException as error:
            code = error.error_code
            if code != GONE and not (code in IN_THE_BIN and self._is_deleted(record.sent)):
                raise
            # The database, the experiment or the run was removed since: begin a new run.
            self._experiment = ""
            record.sent = Sent(uri=self.uri, previous=record.sent.run_id)
            return self._send(record, folder)

    def _is_deleted(self, sent: Sent) -> bool:
        """Whether somebody put the run, or its parent, into the bin."""
        ids = [found for found in (sent.run_id, sent.parent_id) if found]
        return any(self._client.get_run(one).info.lifecycle_stage == "deleted" for one in ids)

    def _send(self, record: Record, folder: Path) -> int:
        self._open_run(record, folder)
        self._send_facts(record, folder)
        num_points = self._send_events(record, folder)
        self._send_scores(record, folder)
        self._send_files(record, folder)
        if record.awaits_promotion:
            record.sent.promotion = promote(self._client, record, folder)
            record.save(folder)
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
                start_time=milliseconds(record.began),
                run_name=record.stage,
                tags={"mlflow.parentRunId": sent.parent_id, "pyramid.stage": record.stage}
                | ({"pyramid.previous_run": sent.previous} if sent.previous else {}),
            )
            sent.run_id, sent.status = run.info.run_id, RUNNING
            record.save(folder)
        if record.status == RUNNING and sent.status != RUNNING:  # resumed
            for run_id in (sent.run_id, sent.parent_id):
                self._client.update_run(run_id, status=RUNNING)
            sent.status = RUNNING
            record.save(folder)

    def _find_experiment(self) -> str:
        """The experiment of that name; if it lies in the bin, where its name stays taken, one with
        a number behind it."""
        name, number = experiment_name(), 1
        while (found := self._client.get_experiment_by_name(name)) is not None:
            if found.lifecycle_stage == "active":
                return str(found.experiment_id)
            number += 1
            name = f"{experiment_name()}-{number}"
        if number > 1:
            logger.warning("MLflow's experiment was deleted; this run goes to '%s'", name)
        artifacts = Path("mlartifacts").resolve().as_uri() if is_local() else None
        try:
            return str(self._client.create_experiment(name, artifacts, tags=MODELS_NOT_CHATS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._find_experiment()  # another process was faster

    def _find_parent(self, record: Record) -> str:
        found = self._client.search_runs(
            [self._experiment], f"tags.`{RUN_KEY}` = '{record.parent}'", max_results=1
        )
        if found:
            self._client.update_run(found[0].info.run_id, status=RUNNING)
            return str(found[0].info.run_id)
        run = self._client.create_run(
            self._experiment,
            start_time=milliseconds(record.began),
            run_name=f"pipeline {record.parent.removeprefix('params-')[:8]}",
            tags={RUN_KEY: record.parent, **code_tags(record.tags)},
        )
        return str(run.info.run_id)

    def _send_facts(self, record: Record, folder: Path) -> None:
        self._send_tags(record, folder)
        if record.sent.facts:
            return
        self._send_params(record.sent.run_id, record.params)
        own = {f"{record.stage}.{name}": value for name, value in record.params.items()}
        self._send_params(record.sent.parent_id, record.settings | own)
        if record.data:
            self._client.log_inputs(record.sent.run_id, [dataset(record)])
        record.sent.facts = True
        record.save(folder)

    def _send_tags(self, record: Record, folder: Path) -> None:
        tags = dict(record.tags)
        if tags == record.sent.tags:
            return
        for run_id, some in (record.sent.run_id, tags), (record.sent.parent_id, code_tags(tags)):
            new = [RunTag(name, value) for name, value in some.items()]
            self._client.log_batch(run_id, tags=new, synchronous=True)
        record.sent.tags = tags
        record.save(folder)

    def _send_params(self, run_id: str, params: dict[str, str]) -> None:
        """Those that the run has not; MLflow refuses to change one, and then refuses the rest. Of
        stages that ran with other values the first one's stand, and a tag names the others."""
        known = self._client.get_run(run_id).data.params
        params = {name: value[:LONGEST_PARAM] for name, value in params.items()}
        new = [Param(name, value) for name, value in params.items() if name not in known]
        for start in range(0, len(new), PARAMS_PER_CALL):
            some = new[start : start + PARAMS_PER_CALL]
            self._client.log_batch(run_id, params=some, synchronous=True)
        changed = {
            name: params[name]
            for name in params.keys() & known.keys()
            if not equal(params[name], known[name])
        }
        for name, value in sorted(changed.items()):
            self._client.set_tag(run_id, f"pyramid.changed.{name}", value)

    def _send_events(self, record: Record, folder: Path) -> int:
        events = record.unsent_events(folder)
        points = [
            Metric(name, value, milliseconds(event["seconds"]), event["images_seen"])
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
                    timestamp=milliseconds(event["seconds"]),
                    synchronous=True,
                )
        record.sent.steps[f"picture:{event['name']}"] = event["images_seen"]
        record.save(folder)

    def _send_scores(self, record: Record, folder: Path) -> None:
        """Scores under their names; costs under `cost/` here, and by stage with the pipeline."""
        scores, costs = dict(record.scores), dict(record.costs)
        if (scores, costs) == (record.sent.scores, record.sent.costs):
            return
        when = milliseconds(record.ended or record.began)
        for run_id, prefix in (
            (record.sent.run_id, "cost"),
            (record.sent.parent_id, f"cost/{record.stage}"),
        ):
            named = scores | {f"{prefix}/{name}": value for name, value in costs.items()}
            metrics = [Metric(name, value, when, 0) for name, value in named.items()]
            self._client.log_batch(run_id, metrics=metrics, synchronous=True)
        record.sent.scores, record.sent.costs = scores, costs
        record.save(folder)

    def _send_files(self, record: Record, folder: Path) -> None:
        for path in [path for path in record.pictures if path not in record.sent.pictures]:
            if Path(path).is_dir():
                self._client.log_artifacts(record.sent.run_id, path, "pictures")
            elif Path(path).exists():
                # With the pipeline run too: MLflow's compare view shows what runs have in common.
                for run_id in (record.sent.run_id, record.sent.parent_id):
                    self._client.log_artifact(run_id, path, "pictures")
            record.sent.pictures.append(path)
            record.save(folder)
        if record.samples != record.sent.samples:
            for file in first_samples(Path(record.samples)):
                self._client.log_artifact(record.sent.run_id, str(file), "samples")
            record.sent.samples = record.samples
            record.save(folder)
        if record.model != record.sent.model:
            if Path(record.model).is_dir():
                log_model(self._client, record.sent.run_id, Path(record.model), "model")
            record.sent.model = record.model
            record.save(folder)

    def _send_status(self, record: Record, folder: Path) -> None:
        status = record.status
        if status == record.sent.status or status not in (FINISHED, FAILED, KILLED):
            return
        for run_id in (record.sent.run_id, record.sent.parent_id):
            self._client.set_terminated(run_id, status, milliseconds(record.ended))
        record.sent.status = status
        record.save(folder)
