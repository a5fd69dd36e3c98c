"""Facts to log with a run: settings, code, data and machine."""

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

from pdm.data.pillow import Image
from pdm.data.shards import listing, manifest
from pdm.files import sha256_of
from pdm.tracking.connection.project import experiment_of_dvc
from pdm.tracking.connection.redaction import redact, redact_urls
from pdm.yaml12 import read_yaml

SAMPLES, MAX_SAMPLES = "samples.json", 16
PIPELINE_RUN = "PYRAMID_PIPELINE_RUN"  # set by the flow that runs the stages


def flat(config: Any, prefix: str = "") -> dict[str, str]:
    """Flatten settings to text by dotted name."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    if isinstance(config, tuple | list) and any(
        dataclasses.is_dataclass(part) or isinstance(part, Mapping) for part in config
    ):
        config = {str(position): part for position, part in enumerate(config)}
    if not isinstance(config, Mapping):
        value = list(config) if isinstance(config, tuple) else config
        return {prefix: redact_urls(str(value))}  # a source's address may contain a password
    result: dict[str, str] = {}
    for name, value in config.items():
        result |= flat(value, f"{prefix}.{name}" if prefix else name)
    return result


def pipeline_run() -> str:
    """Return the key shared by the stages of a pipeline run: its id or, by hand, the settings."""
    named = os.environ.get(PIPELINE_RUN)
    if named:
        return named
    params = Path("params.yaml")
    content = params.read_bytes() if params.exists() else b""
    return f"params-{hashlib.sha256(content).hexdigest()[:16]}"


def pipeline_settings(stage: str, config: Any) -> dict[str, str]:
    """Return the settings of a pipeline run, as far as one of its stages knows them, flat.

    They are those of params.yaml, and the stage's own, which may have been set on the command line.
    A default that params.yaml leaves out is left out here, too: otherwise a pipeline whose stages
    all ran would seem to differ from one that took this stage from DVC's cache.
    """
    listed, defaults = _settings_in_file(), flat(_defaults(config), stage)
    own = flat(config, stage)
    return listed | {
        name: value for name, value in own.items() if name in listed or defaults.get(name) != value
    }


def _settings_in_file() -> dict[str, str]:
    """Read params.yaml, unchecked; empty if it cannot be read."""
    try:
        values = read_yaml(Path("params.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return flat(values) if isinstance(values, Mapping) else {}


def _defaults(config: Any) -> dict[str, Any]:
    """Return the defaults of a section's fields that have one, nested like the section."""
    if isinstance(config, tuple):
        return {str(position): _defaults(part) for position, part in enumerate(config)}
    found: dict[str, Any] = {}
    for item in dataclasses.fields(config) if dataclasses.is_dataclass(config) else ():
        value = getattr(config, item.name)
        sections = isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value))
        if dataclasses.is_dataclass(value) or sections:
            found[item.name] = _defaults(value)
        elif item.default is not dataclasses.MISSING:
            found[item.name] = item.default
    return found


def tags() -> dict[str, str]:
    """Collect versions of code and data, as far as they are known."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    result = {"mlflow.source.name": redact(command)[:5000], "mlflow.source.type": "LOCAL"}
    commit = _git("rev-parse", "HEAD")
    if commit:
        result["mlflow.source.git.commit"] = commit
        result["pyramid.git.dirty"] = str(bool(_git("status", "--porcelain"))).lower()
    if experiment_of_dvc():
        result["pyramid.dvc_experiment"] = experiment_of_dvc()
    if Path("dvc.lock").exists():
        result["pyramid.dvc_lock.sha256"] = sha256_of(Path("dvc.lock"))
    return result


def dataset(folder: Path, digest: str) -> dict[str, str]:
    """Describe a data folder with a manifest: name, version, path and size."""
    content = manifest.read(folder)
    counts = {f"num_{split}": str(content.num_samples(split)) for split in sorted(content.splits)}
    known = {"name": folder.name, "digest": digest, "source": str(folder)}
    shards = content.facts.get("shards_sha256")  # latents name the shards they were encoded from
    return known | counts | ({"shards_sha256": str(shards)} if shards else {})


def model_tags(folder: Path) -> dict[str, str]:
    """Tags by which the run of a model is found."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return {}
    return {"pyramid.model.sha256": sha256_of(weights)} | _teacher_tags(folder)


def _teacher_tags(folder: Path) -> dict[str, str]:
    """Tag of a model that was distilled: its teacher."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {"pyramid.model.distilled_from.sha256": str(found["distilled_from"]["sha256"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def listing_tags(folder: Path) -> dict[str, str]:
    """Tags for the pictures a model was trained and measured on: digest and length of their
    list."""
    if not (folder / listing.FILE_NAME).is_file():
        return {}
    summary = listing.summarise(folder)
    return {f"pyramid.pictures.{name}": str(value) for name, value in summary.items()}


def sample_tags(folder: Path) -> dict[str, str]:
    """Tags by which the runs of the samples' models are found."""
    try:
        content = json.loads((folder / SAMPLES).read_text(encoding="utf-8"))
        with Image.open(folder / content["samples"][0]["file"]) as picture:
            size = "{}x{}".format(*picture.size)
        return {"pyramid.picture_size": size} | {
            f"pyramid.{stage}.sha256": str(content[f"{stage}_sha256"])
            for stage in ("autoencoder", "diffusion", "few_steps")
            if stage != "few_steps" or "few_steps_sha256" in content
        }
    except (OSError, ValueError, LookupError, TypeError):  # not drawn by `pyramid sample`
        return {}


def first_samples(folder: Path) -> list[Path]:
    """Return the list of samples, and its first pictures."""
    try:
        listed = json.loads((folder / SAMPLES).read_text(encoding="utf-8"))["samples"]
        files = [str(sample["file"]) for sample in listed[:MAX_SAMPLES]]
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
    """Measure the load of this machine, under MLflow's names of system metrics."""
    memory = psutil.virtual_memory()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        "system/disk_usage_percentage": psutil.disk_usage(".").percent,
    }
