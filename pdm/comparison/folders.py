"""Reads a run from a project's folder."""

import csv
from collections.abc import Mapping
from pathlib import Path

from pdm.comparison.metrics_file import read_mapping, read_scores
from pdm.comparison.run import MAX_PICTURES, Curve, Run
from pdm.data.shards import manifest
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.tracking.records import facts
from pdm.tracking.records.record import Record
from pdm.tracking.registry import replicates
from pdm.yaml12 import read_yaml

METRICS = "metrics.json"
EVALUATION = "plots/evaluation"
CURVES = {"autoencoder": "plots/autoencoder.csv", "diffusion": "plots/diffusion.csv"}


def read(folder: Path) -> Run:
    """Read the folder of a project, or a copy of its results.

    Raises:
        BadInput: The folder has neither scores nor curves, or a file cannot be read.
    """
    scores = read_scores(folder / METRICS)
    curves = {
        f"{stage}/{name}": curve
        for stage, path in CURVES.items()
        for name, curve in _curves(folder / path).items()
    }
    if not scores and not curves:
        raise BadInput(
            f"{folder} has no results: neither {METRICS} nor {' nor '.join(CURVES.values())}; name "
            "the folder of a project in which the pipeline ran"
        )
    records = _records(folder)
    return Run(
        name=folder.resolve().name,
        origin=str(folder),
        params=_params(folder / "params.yaml"),
        facts=_facts(folder, records),
        scores=scores,
        replicates=replicates.read(folder / EVALUATION / replicates.FILE_NAME),
        curves=curves,
        pictures=pictures_of(folder / "samples"),
        costs={stage: record.costs for stage, record in records.items() if record.costs},
    )


def pictures_of(folder: Path) -> dict[int, Path]:
    """Find the first pictures of a folder of samples, by seed; empty if it does not exist.

    Raises:
        BadInput: Its `samples.json` cannot be read.
    """
    path = folder / "samples.json"
    if not path.is_file():
        return {}
    try:
        samples = read_mapping(path, "sample").get("samples", [])
        by_seed = {int(sample["seed"]): folder / str(sample["file"]) for sample in samples}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} is not a list of samples ({error!r}); run the stage 'sample' again"
        ) from error
    existing = [seed for seed in sorted(by_seed) if by_seed[seed].is_file()]
    return {seed: by_seed[seed] for seed in existing[:MAX_PICTURES]}


def _params(path: Path) -> dict[str, str]:
    """Read params without checking them, since old runs may have settings that no longer exist."""
    if not path.is_file():
        return {}
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    return facts.flat(values) if isinstance(values, Mapping) else {}


def _facts(folder: Path, records: Mapping[str, Record]) -> dict[str, str]:
    result: dict[str, str] = {}
    for stage in sorted(records):
        tags = records[stage].tags
        result |= {"code": tags.get("mlflow.source.git.commit", "")}
    for name, path in ("pictures", "data/shards"), ("latents", "data/latents"):
        if (folder / path / manifest.FILE_NAME).is_file():
            result[f"version of {name}"] = manifest.digest(folder / path)
            counts = manifest.read(folder / path)
            for split in sorted(counts.splits):
                result[f"{split} {name}"] = f"{counts.num_samples(split):,}"
    if (folder / "dvc.lock").is_file():
        result["dvc.lock"] = sha256_of(folder / "dvc.lock")
    return {name: value for name, value in result.items() if value}


def _records(folder: Path) -> dict[str, Record]:
    """Find the latest tracked run of each stage."""
    paths = sorted((folder / "runs").glob("*/*/tracking.json"))
    records = [record for path in paths if (record := Record.load(path.parent)) is not None]
    return {record.stage: record for record in sorted(records, key=lambda record: record.ended)}


def _curves(path: Path) -> dict[str, Curve]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [name for name in (rows[0] if rows else {}) if name != "images_seen"]
        return {
            name: [(float(row["images_seen"]), float(row[name])) for row in rows if row[name]]
            for name in names
        }
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        stage = path.stem
        raise BadInput(
            f"{path} is not a table of curves ({error}); run the stage '{stage}' again"
        ) from error
