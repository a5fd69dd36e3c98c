"""A tracked run of a stage that does nothing, and how to look at what MLflow knows of it."""

from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from pdm.events import EventLog


@dataclass(frozen=True)
class Level:
    channels: int


@dataclass(frozen=True)
class Config:
    rate: float
    widths: tuple[int, ...]
    levels: tuple[Level, ...]


CONFIG = Config(0.5, (8, 16), (Level(3), Level(4)))
EVENTS = Path("runs/diffusion/abc/events.jsonl")


def local():
    return f"sqlite:///{Path.cwd()}/mlflow.db"


def client(uri=None):
    return MlflowClient(tracking_uri=uri or local(), registry_uri=uri or local())


def runs(uri=None, name="pyramid-diffusion"):
    """All runs by name, newest of a name last."""
    experiment = client(uri).get_experiment_by_name(name)
    found = client(uri).search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    return {run.info.run_name: run for run in found}


def points(run, name, uri=None):
    return [(m.step, m.value) for m in client(uri).get_metric_history(run.info.run_id, name)]


def work(steps=(10, 20, 30), begin=0):
    log = EventLog(EVENTS, images_seen=begin)
    for step in steps:
        log.metrics({"loss": 1 / step}, step)
