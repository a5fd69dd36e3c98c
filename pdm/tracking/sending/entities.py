"""Converts a record to MLflow's entities."""

import json

from mlflow.entities import Dataset, DatasetInput, InputTag

from pdm.tracking.records.record import Record

DVC_EXPERIMENT = "pyramid.dvc_experiment"  # tag
LONGEST_DIGEST = 36


def dataset(record: Record) -> DatasetInput:
    """Make the dataset input of a run; its profile has the full digest."""
    data = Dataset(
        name=record.data["name"],
        digest=record.data["digest"][:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"uri": record.data["source"]}),
        profile=json.dumps(record.data, sort_keys=True),
    )
    context = "evaluation" if record.stage == "evaluate" else "training"
    return DatasetInput(data, [InputTag("mlflow.data.context", context)])


def milliseconds(seconds: float) -> int:
    """Convert to MLflow's unit of time."""
    return round(seconds * 1000)


def code_tags(tags: dict[str, str]) -> dict[str, str]:
    """Select the tags of the whole pipeline run; dvc.lock's is that of the latest stage."""
    return {name: tags[name] for name in tags if "git" in name or "dvc_lock" in name}


def parent_name(record: Record) -> str:
    """Name a pipeline run by its key, and by DVC's experiment if it is one."""
    what = record.tags.get(DVC_EXPERIMENT, "pipeline")
    return f"{what} {record.parent.removeprefix('params-')[:8]}"


def equal(first: str, second: str) -> bool:
    """Whether two texts mean the same value, as 1 and 1.0 do."""
    try:
        return first == second or float(first) == float(second)
    except ValueError:
        return False
