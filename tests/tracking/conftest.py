import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from shared.folders import make_once
from tracked_runs import local
from tracked_servers import gated_mlflow


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Made once: it takes MLflow seconds."""

    def make(folder):
        MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_experiments()

    return make_once(tmp_path_factory, "empty-mlflow", make) / "mlflow.db"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path)
    for name in ("MLFLOW_EXPERIMENT_NAME", "PYRAMID_PIPELINE_RUN"):
        monkeypatch.delenv(name, raising=False)
    # Not the default's relative path: MLflow keeps one connection per address and process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # pytest puts back what the tests change
    Path("params.yaml").write_text("diffusion: {}\n")


@pytest.fixture(scope="session")
def _server(tmp_path_factory, empty_database):
    with gated_mlflow(tmp_path_factory.mktemp("server"), empty_database) as gate:
        yield gate


@pytest.fixture
def gate(_server):
    """MLflow behind an open gate."""
    _server.credentials, _server.artifacts_are_closed, _server.prefix = None, False, ""
    return _server
