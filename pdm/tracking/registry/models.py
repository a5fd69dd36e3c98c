"""Logs model folders to MLflow, without their EMA snapshots and their list of pictures.

Snapshots take many times the space of the model, and DVC versions them with its folder. A
registered model gets them if its samples were drawn with one. The list has a line for each picture,
and is the same for every model of one data version, so MLflow gets only its digest and length.
"""

import json
from pathlib import Path

from mlflow import MlflowClient

from pdm.data.shards import listing

EMA_SNAPSHOTS = "ema"  # as in `pdm.ema`, which imports torch


def log_model(connection: MlflowClient, run_id: str, folder: Path, name: str) -> None:
    """Send a model's folder as `name`, without its EMA snapshots, and with a summary in place of
    its list of pictures."""
    for path in sorted(folder.iterdir()):
        if path.name == listing.FILE_NAME:
            summary = listing.summarise(folder)
            connection.log_dict(run_id, summary, f"{name}/{listing.SUMMARY_NAME}")
        elif path.is_file():
            connection.log_artifact(run_id, str(path), name)
        elif path.name != EMA_SNAPSHOTS:
            log_folder(connection, run_id, path, f"{name}/{path.name}")


def log_folder(connection: MlflowClient, run_id: str, folder: Path, name: str) -> None:
    """Send all files of a folder as `name`.

    One by one: where DVC links its cache they are read-only, and so are their copies in a local
    store. MLflow's `log_artifacts` cannot replace these, as after an interrupted `pyramid sync`.
    """
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            place = Path(name) / file.parent.relative_to(folder)
            connection.log_artifact(run_id, str(file), place.as_posix())


def log_ema_snapshots(connection: MlflowClient, run_id: str, folder: Path, name: str) -> None:
    """Send the EMA snapshots, which `log_model` leaves out."""
    if (folder / EMA_SNAPSHOTS).is_dir():
        log_folder(connection, run_id, folder / EMA_SNAPSHOTS, f"{name}/{EMA_SNAPSHOTS}")


def use_ema_snapshots(samples: Path) -> bool:
    """Whether the pictures of this `samples.json` were drawn with, or guided by, an EMA
    snapshot."""
    content = json.loads(samples.read_text(encoding="utf-8"))
    guide = content.get("guide") or {}
    return content.get("ema_length") is not None or guide.get("kind") == "ema"
