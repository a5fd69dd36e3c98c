"""Sends a run's files to the artifact store, which may be on another server and fail separately."""

import logging
from pathlib import Path

from mlflow import MlflowClient
from PIL import Image, UnidentifiedImageError

from pdm.tracking.records.facts import first_samples
from pdm.tracking.records.record import Record
from pdm.tracking.records.run_log import Event
from pdm.tracking.registry.models import log_folder, log_model
from pdm.tracking.sending.entities import milliseconds

logger = logging.getLogger(__name__)


class Files:
    """The files of a record that have not arrived. Each arrival is recorded at once."""

    def __init__(self, connection: MlflowClient, record: Record, folder: Path) -> None:
        self._client, self._record, self._folder = connection, record, folder

    def send(self, lines: list[Event], logs: Path) -> None:
        """Send everything: pictures by step named in the log's lines (paths below `logs`),
        pictures, samples, the model."""
        for line in lines:
            if line["kind"] == "picture":
                self._send_step_picture(line, logs / line["path"])
        self._send_pictures()
        self._send_samples()
        self._send_model()

    def _send_step_picture(self, line: Event, file: Path) -> None:
        try:
            with Image.open(file) as picture:
                self._client.log_image(
                    self._record.sent.run_id,
                    picture,
                    key=line["name"],
                    step=line["images_seen"],
                    timestamp=milliseconds(line["seconds"]),
                    synchronous=True,
                )
        except (FileNotFoundError, UnidentifiedImageError):
            logger.warning("not sent to MLflow: %s is missing, or not an image", file)
        with self._record.arriving(self._folder) as sent:
            sent.steps[f"picture:{line['name']}"] = line["images_seen"]

    def _send_pictures(self) -> None:
        sent = self._record.sent
        for path in [path for path in self._record.pictures if path not in sent.pictures]:
            if Path(path).is_dir():
                log_folder(self._client, sent.run_id, Path(path), "pictures")
            elif Path(path).exists():
                # With the pipeline run too: MLflow's compare view shows what runs have in common.
                for run_id in (sent.run_id, sent.parent_id):
                    self._client.log_artifact(run_id, path, "pictures")
            with self._record.arriving(self._folder):
                sent.pictures.append(path)

    def _send_samples(self) -> None:
        record = self._record
        if record.samples == record.sent.samples:
            return
        for file in first_samples(Path(record.samples)):
            self._client.log_artifact(record.sent.run_id, str(file), "samples")
        with record.arriving(self._folder) as sent:
            sent.samples = record.samples

    def _send_model(self) -> None:
        record = self._record
        if record.model == record.sent.model:
            return
        if Path(record.model).is_dir():
            log_model(self._client, record.sent.run_id, Path(record.model), "model")
        with record.arriving(self._folder) as sent:
            sent.model = record.model
