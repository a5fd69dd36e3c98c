"""A copy of the project with settings so small that the whole pipeline runs in a minute."""

import copy
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.stages.stage import environment_of_stages

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    "scrape": {
        "sources": [
            {
                "kind": "builtin",
                "num_landscapes": 24,
                "num_flawed_per_kind": 1,
                "width_px": 320,
                "height_px": 180,
                "seed": 0,
            }
        ],
        "timeout_seconds": 5.0,
        "num_shards": 2,
    },
    "curate": {"width_px": 256, "height_px": 128, "min_kept": 4},
    "shard": {"num_train_shards": 2},
    "autoencoder": {
        "image_height_px": 32,
        "image_width_px": 64,
        "perceptual": None,
        "adversarial": None,
        "model": {
            "levels": [
                {"downsampling": "global", "channels": 8, "kl_weight": 1e-6},
                {"downsampling": 16, "channels": 8, "kl_weight": 1e-6},
                {"downsampling": 8, "channels": 4, "kl_weight": 1e-6},
                {"downsampling": 4, "channels": 4, "kl_weight": 1e-6},
            ],
            "encoder_widths": [8, 8, 16, 16, 16],
            "decoder_widths": [8, 8, 16, 16, 16],
            "encoder_dropout": [0.0] * 5,
            "decoder_dropout": [0.0] * 5,
        },
        "training": {
            "batch_size": 8,
            "total_images": 64,
            "warmup_images": 8,
            "log_every_images": 16,
            "save_every_images": 32,
        },
    },
    "diffusion": {
        "model": {"widths": [8, 16, 16], "blocks": [1] * 3, "dropout": [0.0] * 3},
        "level_loss_weights": [1.0] * 4,
        "score_images": 4,
        "training": {
            "batch_size": 8,
            "total_images": 64,
            "warmup_images": 8,
            "log_every_images": 16,
            "save_every_images": 32,
        },
    },
    "sample": {"num_images": 8, "steps": 2},
    "evaluate": {
        "features": [],
        "num_features": 8,
        "num_projections": 8,
        "patches_per_image": 8,
        "crops_per_image": 2,
        "num_replicates": 20,
        "num_neighbours": 2,
    },
}


class Project:
    """A folder in which the pipeline runs, and what was said there last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = ""
        # The copy's code, not that of the checkout: an edit during the test changes nothing.
        self.environment = environment_of_stages() | {
            "PYTHONPATH": str(folder),
            "PYRAMID_IMG2DATASET": os.environ.get(
                "PYRAMID_IMG2DATASET", str(ROOT / ".venv-scrape/bin/img2dataset")
            ),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "PREFECT_HOME": str(folder / "prefect"),
            "COLUMNS": "160",
        }
        self.environment.pop("PREFECT_API_URL", None)

    def set(self, changes: dict[str, Any]) -> None:
        """Change params.yaml; lists are replaced, mappings merged."""
        path = self.folder / "params.yaml"
        values = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(_merged(values, changes), sort_keys=False))

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command in the folder."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, exit_code: int = 0) -> str:
        """Run a command in the folder and return what it says."""
        with self.start(*command) as process:
            self.output = process.communicate()[0]
        assert process.returncode == exit_code, self.output
        return self.output

    def stages_run(self) -> list[str]:
        """Stages that the last `dvc repro` has run."""
        lines = self.output.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage '")]


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Project]:
    """Makes tiny projects."""

    def make(name: str) -> Project:
        folder = tmp_path_factory.mktemp(name)
        for file in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / file, folder)
        for code in ("pdm", "flows", "sources"):
            shutil.copytree(
                ROOT / code, folder / code, ignore=shutil.ignore_patterns("__pycache__")
            )
        project = Project(folder)
        project.set(copy.deepcopy(TINY))
        project.run("git", "init", "--quiet")
        project.run("dvc", "init", "--quiet")
        project.run("dvc", "config", "core.analytics", "false")
        return project

    return make


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: _merged(old.get(key), value) for key, value in new.items()}
