"""Sends records to MLflow.

Sending is idempotent: parts that have arrived, according to the record, are not sent again, and the
record is saved after each part. A point that arrives twice nevertheless (after a kill in between)
has the same time and value, and MLflow stores it once.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from pdm.tracking.connection.address import artifacts, client, experiment_name, shown_address
from pdm.tracking.connection.faults import GONE, IN_THE_BIN, is_outage, reason
from pdm.tracking.records.record import FAILED, FINISHED, KILLED, RUNNING, Record, Sent
from pdm.tracking.records.run_log import Event, RunLog
from pdm.tracking.registry.champion import promote
from pdm.tracking.sending.delivery import FILES, REGISTRATION, Delivery, Refusal
from pdm.tracking.sending.entities import code_tags, dataset, equal, milliseconds, parent_name
from pdm.tracking.sending.files import Files

logger = logging.getLogger(__name__)

PARAMS_PER_CALL, METRICS_PER_CALL = 100, 500  # MLflow's limits are 100 and 1000
LONGEST_PARAM, LONGEST_TAG = 6000, 5000
# MLflow then opens its pages for model training, not those for chats.
MODELS_NOT_CHATS = {"mlflow.experimentKind": "custom_model_development"}
RUN_KEY = "pyramid.pipeline_run"  # tag by which later stages find their parent run


class Store:
    """A connection to an MLflow. Any method may raise the errors of an outage."""

    def __init__(self) -> None:
        self.uri = shown_address()
        self._client = client()
        self._experiment = ""

    def answers(self) -> bool:
        """Whether MLflow can be reached now."""
        try:
            self._client.search_experiments(max_results=1)
        except Exception as error:  # noqa: BLE001 - whatever an outage raises
            return not is_outage(error)
        return True

    def send(self, record: Record, folder: Path, log: RunLog) -> Delivery:
        """Send what has not arrived. A refused part does not block others. The status comes before
        files, and the registration, which needs them, comes last."""
        if record.sent.uri != self.uri:
            record.sent = Sent(uri=self.uri)
            log.rewind()
        try:
            return self._send(record, folder, log)
        except MlflowException as error:
            if not self._is_gone(error, record.sent):
                raise
            # The database, the experiment or the run was deleted: start a new run.
            self._experiment = ""
            record.sent = Sent(uri=self.uri, previous=record.sent.run_id)
            log.rewind()
            return self._send(record, folder, log)

    def _is_gone(self, error: MlflowException, sent: Sent) -> bool:
        """Whether the run or its parent was deleted."""
        if error.error_code not in (GONE, *IN_THE_BIN):
            return False
        ids = [run_id for run_id in (sent.run_id, sent.parent_id) if run_id]
        try:
            runs = [self._client.get_run(run_id) for run_id in ids]
        except MlflowException as absent:
            return bool(absent.error_code == GONE)
        deleted = any(run.info.lifecycle_stage == "deleted" for run in runs)
        return deleted or (not ids and error.error_code == GONE)

    def _send(self, record: Record, folder: Path, log: RunLog) -> Delivery:
        self._open_run(record, folder)
        lines = log.unsent(record.sent)
        record.name_nonfinite(log.nonfinite)
        refusals: list[Refusal] = []
        parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("params", lambda: self._send_facts(record, folder)),
            ("tags", lambda: self._send_tags(record, folder)),
            ("metrics", lambda: self._send_points(record, folder, lines)),
            ("scores", lambda: self._send_scores(record, folder)),
            ("status", lambda: self._send_status(record, folder)),
            (FILES, lambda: Files(self._client, record, folder).send(lines, log.folder)),
            (REGISTRATION, lambda: self._register(record, folder)),
        )
        for part, send in parts:
            if part == REGISTRATION and refusals:
                break  # the promotion needs scores and files
            try:
                send()
            except Exception as error:
                if self._ends_all(error, part, record.sent):
                    raise
                refusals.append(Refusal(part, reason(error)))
        arrived = not any(refusal.part == "metrics" for refusal in refusals)
        return Delivery(sum(len(line["values"]) for line in lines) * arrived, tuple(refusals))

    def _ends_all(self, error: Exception, part: str, sent: Sent) -> bool:
        """Whether nothing else can be sent now. Files may go to another server."""
        if isinstance(error, MlflowException) and self._is_gone(error, sent):
            return True
        return part not in (FILES, REGISTRATION) and is_outage(error)

    def _open_run(self, record: Record, folder: Path) -> None:
        sent = record.sent
        self._experiment = self._experiment or self._find_experiment()
        if not sent.parent_id:
            parent_id = self._find_parent(record)
            with record.arriving(folder):
                sent.parent_id = parent_id
        if not sent.run_id:
            run = self._client.create_run(
                self._experiment,
                start_time=milliseconds(record.began),
                run_name=record.stage,
                tags={"mlflow.parentRunId": sent.parent_id, "pyramid.stage": record.stage}
                | ({"pyramid.previous_run": sent.previous} if sent.previous else {}),
            )
            with record.arriving(folder):
                sent.run_id, sent.status = run.info.run_id, RUNNING
        if record.status == RUNNING and sent.status != RUNNING:  # resumed
            for run_id in (sent.run_id, sent.parent_id):
                self._client.update_run(run_id, status=RUNNING)
            with record.arriving(folder):
                sent.status = RUNNING

    def _find_experiment(self) -> str:
        """Find or create the experiment. A deleted one keeps its name, so a number is then
        added."""
        name, number = experiment_name(), 1
        while (experiment := self._client.get_experiment_by_name(name)) is not None:
            if experiment.lifecycle_stage == "active":
                return str(experiment.experiment_id)
            number += 1
            name = f"{experiment_name()}-{number}"
        if number > 1:
            logger.warning("the MLflow experiment was deleted; this run goes to '%s'", name)
        try:
            return str(self._client.create_experiment(name, artifacts(), tags=MODELS_NOT_CHATS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._find_experiment()  # another process created it first

    def _find_parent(self, record: Record) -> str:
        parents = self._client.search_runs(
            [self._experiment], f"tags.`{RUN_KEY}` = '{record.parent}'", max_results=1
        )
        if parents:
            self._client.update_run(parents[0].info.run_id, status=RUNNING)
            return str(parents[0].info.run_id)
        run = self._client.create_run(
            self._experiment,
            start_time=milliseconds(record.began),
            run_name=parent_name(record),
            tags={RUN_KEY: record.parent, **code_tags(record.tags)},
        )
        return str(run.info.run_id)

    def _send_facts(self, record: Record, folder: Path) -> None:
        if record.sent.facts:
            return
        self._send_params(record.sent.run_id, record.params)
        self._send_params(record.sent.parent_id, record.settings)
        if record.data:
            self._client.log_inputs(record.sent.run_id, [dataset(record)])
        with record.arriving(folder) as sent:
            sent.facts = True

    def _send_tags(self, record: Record, folder: Path) -> None:
        tags, nonfinite = dict(record.tags), list(record.nonfinite)
        if (tags, nonfinite) == (record.sent.tags, record.sent.nonfinite):
            return
        own = tags | ({"pyramid.nonfinite": ", ".join(nonfinite)} if nonfinite else {})
        for run_id, values in (record.sent.run_id, own), (record.sent.parent_id, code_tags(tags)):
            new = [RunTag(name, value[:LONGEST_TAG]) for name, value in values.items()]
            self._client.log_batch(run_id, tags=new, synchronous=True)
        with record.arriving(folder) as sent:
            sent.tags, sent.nonfinite = tags, nonfinite

    def _send_params(self, run_id: str, params: dict[str, str]) -> None:
        """Send the params that the run lacks. MLflow refuses to change a param, and then refuses
        the rest. If stages ran with different values, the first is kept, and a tag lists the
        others."""
        known = self._client.get_run(run_id).data.params
        params = {name: value[:LONGEST_PARAM] for name, value in params.items()}
        new = [Param(name, value) for name, value in params.items() if name not in known]
        for start in range(0, len(new), PARAMS_PER_CALL):
            chunk = new[start : start + PARAMS_PER_CALL]
            self._client.log_batch(run_id, params=chunk, synchronous=True)
        changed = {
            name: params[name]
            for name in params.keys() & known.keys()
            if not equal(params[name], known[name])
        }
        for name, value in sorted(changed.items()):
            self._client.set_tag(run_id, f"pyramid.changed.{name}", value)

    def _send_points(self, record: Record, folder: Path, lines: list[Event]) -> None:
        points = [
            Metric(name, value, milliseconds(line["seconds"]), line["images_seen"])
            for line in lines
            for name, value in line["values"].items()
        ]
        for start in range(0, len(points), METRICS_PER_CALL):
            chunk = points[start : start + METRICS_PER_CALL]
            self._client.log_batch(record.sent.run_id, metrics=chunk, synchronous=True)
            with record.arriving(folder) as sent:
                sent.steps |= {point.key: point.step for point in chunk}

    def _send_scores(self, record: Record, folder: Path) -> None:
        """Send scores by name, and costs under `cost/` here and by stage in the pipeline run."""
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
        with record.arriving(folder) as sent:
            sent.scores, sent.costs = scores, costs

    def _send_status(self, record: Record, folder: Path) -> None:
        status = record.status
        if status == record.sent.status or status not in (FINISHED, FAILED, KILLED):
            return
        for run_id in (record.sent.run_id, record.sent.parent_id):
            self._client.set_terminated(run_id, status, milliseconds(record.ended))
        with record.arriving(folder) as sent:
            sent.status = status

    def _register(self, record: Record, folder: Path) -> None:
        if record.awaits_promotion:
            promotion = promote(self._client, record, folder)
            with record.arriving(folder) as sent:
                sent.promotion = promotion
