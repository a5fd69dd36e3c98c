"""What MLflow gets of a model's folder: all of it but its EMA snapshots and the list of
its pictures.

Averages take many times the room of the model, and lie in its folder, which DVC keeps. A registered
model gets them where its samples were drawn with one. The list has a line for each picture, and is
the same for every model of one version of the data: MLflow gets its digest and its length.
"""

import json
from pathlib import Path

from mlflow import MlflowClient

from pdm.data.shards import listing

EMA_SNAPSHOTS = "ema"  # as in `pdm.ema`, which would bring torch along


def log_model(connection: MlflowClient, run_id: str, folder: Path, name: str) -> None:
    """Send the files and folders of a model's folder as `name`: without its EMA snapshots, and with
    a summary in place of the list of its pictures."""
    for path in sorted(folder.iterdir()):
        if path.name == listing.FILE_NAME:
            summary = listing.summarise(folder)
            connection.log_dict(run_id, summary, f"{name}/{listing.SUMMARY_NAME}")
        elif path.is_file():
            connection.log_artifact(run_id, str(path), name)
        elif path.name != EMA_SNAPSHOTS:
            connection.log_artifacts(run_id, str(path), f"{name}/{path.name}")


def log_ema_snapshots(connection: MlflowClient, run_id: str, folder: Path, name: str) -> None:
    """Send what `log_model` left out."""
    if (folder / EMA_SNAPSHOTS).is_dir():
        connection.log_artifacts(run_id, str(folder / EMA_SNAPSHOTS), f"{name}/{EMA_SNAPSHOTS}")


def use_ema_snapshots(samples: Path) -> bool:
    """Whether the pictures that this `samples.json` lists were drawn, or guided, by an average."""
    drawn = json.loads(samples.read_text(encoding="utf-8"))
    guide = drawn.get("guide") or {}
    return drawn.get("ema_length") is not None or guide.get("kind") == "ema"
