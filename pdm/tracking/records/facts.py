"""What a run should be remembered with: settings, code, data and machine."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from pdm.data.shards import listing, manifest
from pdm.files import sha256_of
from pdm.tracking.connection.project import experiment_of_dvc
from pdm.tracking.connection.redaction import redact, redact_urls
from pdm.yaml12 import read_yaml

SAMPLES, MAX_SAMPLES = "samples.json", 16
PIPELINE_RUN = "PYRAMID_PIPELINE_RUN"  # set by the flow that runs the stages


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """Settings under dotted names, as text."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    if isinstance(config, tuple | list) and any(
        dataclasses.is_dataclass(part) or isinstance(part, Mapping) for part in config
    ):
        config = {str(position): part for position, part in enumerate(config)}
    if not isinstance(config, Mapping):
        value = list(config) if isinstance(config, tuple) else config
        return {prefix: redact_urls(str(value))}  # the address of a source may hold a password
    found: dict[str, str] = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}.{name}" if prefix else name)
    return found


def pipeline_run() -> str:
    """What the stages of one pipeline run have in common: its id, or by hand the settings."""
    named = os.environ.get(PIPELINE_RUN)
    if named:
        return named
    params = Path("params.yaml")
    content = params.read_bytes() if params.exists() else b""
    return f"params-{hashlib.sha256(content).hexdigest()[:16]}"


def settings() -> dict[str, str]:
    """All of params.yaml, flat, as it is written; empty if there is none that can be read."""
    try:
        found = read_yaml(Path("params.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return flat(found) if isinstance(found, Mapping) else {}


def tags() -> dict[str, str]:
    """Versions of code and data, as far as they are known."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    found = {"mlflow.source.name": redact(command)[:5000], "mlflow.source.type": "LOCAL"}
    commit = _git("rev-parse", "HEAD")
    if commit:
        found["mlflow.source.git.commit"] = commit
        found["pyramid.git.dirty"] = str(bool(_git("status", "--porcelain"))).lower()
    if experiment_of_dvc():
        found["pyramid.dvc_experiment"] = experiment_of_dvc()
    if Path("dvc.lock").exists():
        found["pyramid.dvc_lock.sha256"] = sha256_of(Path("dvc.lock"))
    return found


def dataset(folder: Path, digest: str) -> dict[str, str]:
    """Name, version, place and size of a folder of data with a manifest."""
    found = manifest.read(folder)
    counts = {f"num_{split}": str(found.num_samples(split)) for split in sorted(found.splits)}
    known = {"name": folder.name, "digest": digest, "source": str(folder)}
    shards = found.facts.get("shards_sha256")  # latents name the pictures that they are of
    return known | counts | ({"shards_sha256": str(shards)} if shards else {})


def model_tags(folder: Path) -> dict[str, str]:
    """By which a run is found again from the model that came out of it."""
    weights = folder / "model.safetensors"
    return {"pyramid.model.sha256": sha256_of(weights)} if weights.is_file() else {}


def listing_tags(folder: Path) -> dict[str, str]:
    """Which pictures a model was trained on and measured with: digest and length of their list."""
    if not (folder / listing.FILE_NAME).is_file():
        return {}
    summary = listing.summarise(folder)
    return {f"pyramid.pictures.{name}": str(value) for name, value in summary.items()}


def sample_tags(folder: Path) -> dict[str, str]:
    """By which the runs are found that made the models behind the samples."""
    try:
        found = json.loads((folder / SAMPLES).read_text(encoding="utf-8"))
        with Image.open(folder / found["samples"][0]["file"]) as picture:
            size = "{}x{}".format(*picture.size)
        return {"pyramid.picture_size": size} | {
            f"pyramid.{stage}.sha256": str(found[f"{stage}_sha256"])
            for stage in ("autoencoder", "diffusion")
        }
    except (OSError, ValueError, LookupError, TypeError):  # drawn by something else
        return {}


def first_samples(folder: Path) -> list[Path]:
    """The list of samples and its first pictures: as many as a person looks at."""
    try:
        listed = json.loads((folder / SAMPLES).read_text(encoding="utf-8"))["samples"]
        files = [str(one["file"]) for one in listed[:MAX_SAMPLES]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [folder / name for name in (SAMPLES, *files) if (folder / name).is_file()]


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, no repository, no commit
        return ""
    return answer.stdout.strip()


def machine() -> dict[str, float]:
    """How busy this machine is now, under the names by which MLflow's pages know it."""
    memory = psutil.virtual_memory()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/disk_usage_percentage": psutil.disk_usage(".").percent,
    }
