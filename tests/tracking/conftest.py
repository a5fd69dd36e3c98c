import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tracked_runs import local


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Made once: it takes MLflow seconds."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path)
    for name in ("MLFLOW_EXPERIMENT_NAME", "PYRAMID_PIPELINE_RUN"):
        monkeypatch.delenv(name, raising=False)
    # Not the default's relative path: MLflow keeps one connection per address and process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    Path("params.yaml").write_text("diffusion: {}\n")
