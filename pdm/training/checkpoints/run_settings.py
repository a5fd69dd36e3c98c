"""Restores the settings that a run was trained with from its `run.json`."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pdm.config.fields import MAY_CHANGE, fields_with
from pdm.config.fingerprint import neutral_settings
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.training.loop import TrainingConfig
from pdm.data.shards import manifest
from pdm.errors import BadInput
from pdm.training.checkpoints.folder import list_checkpoints
from pdm.training.checkpoints.run_record import FILE_NAME, RunRecord

Config = TypeVar("Config", AutoencoderConfig, DiffusionConfig)


def settings_of(run: Path, present: Config, stage: str, data: dict[str, Path]) -> Config:
    """Return the section of params that a run was trained with.

    Args:
        run: Folder of the run.
        present: The section now; supplies only the settings that no result depends on.
        stage: Stage that the run must belong to.
        data: Folder of each input, by name; must be the version that the run was trained on.

    Raises:
        BadInput: The folder is not a run of that stage, the data are of another version, or this
            version of the project does not know the settings.
    """
    record = RunRecord.load(run)
    if record is None:
        raise BadInput(_why_unknown(run, stage))
    if record.stage != stage:
        raise BadInput(f"{run} is a run of the stage {record.stage}, not of {stage}")
    for name, folder in data.items():
        manifest.load(folder)
        if (found := manifest.digest(folder)) != record.inputs.get(name):
            raise BadInput(
                f"{run} was trained on {name} of version {record.inputs.get(name)}, but {folder} "
                f"is version {found}; check that version out (dvc checkout), or name its folder "
                f"with --{name}"
            )
    try:
        return _restore_settings(record.settings, present)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise BadInput(
            f"{run} was trained with settings that this version does not know ({key}: "
            f"{fault['msg']}); export it with the version that trained it"
        ) from error


def _why_unknown(run: Path, stage: str) -> str:
    """Why a run's settings are not known, and what to do."""
    if (run / FILE_NAME).exists():
        return f"{run / FILE_NAME} cannot be read; bring it back from a copy of the run"
    if not list_checkpoints(run):
        return f"{run} is not a run's folder: it has neither {FILE_NAME} nor checkpoints"
    return (
        f"{run} has no {FILE_NAME}, as runs of older versions of this project, so its settings are "
        f"unknown. Write them into the section {stage} of the params file and run the same command "
        "without --run: it names the folder of those settings. Rename the run to it, and run the "
        "command once more"
    )


def _restore_settings(recorded: dict[str, Any], present: Config) -> Config:
    """Build a section from its recorded values by dotted name. Settings that may change are not
    recorded, so they get values that fit."""
    values = _nest(recorded, {})
    training = _nest(neutral_settings(present), values).setdefault("training", {})
    for kind, into, now in (
        (type(present), values, present),
        (TrainingConfig, training, present.training),
    ):
        for name in fields_with(kind, MAY_CHANGE):
            into.setdefault(name, getattr(now, name))
    # These must be multiples of the recorded batch size, which may differ from the present one, and
    # of each other.
    intervals = dict.fromkeys(("log_every_images", "save_every_images"), training.get("batch_size"))
    training.update(num_workers=1, accumulation=1, keep_every_images=None, **intervals)
    return TypeAdapter(type(present)).validate_json(json.dumps(values))


def _nest(named: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Add values by dotted name to nested values; existing values stay."""
    for dotted, value in named.items():
        *sections, name = dotted.split(".")
        inner: Any = values
        for section in sections:
            inner = inner.setdefault(section, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.setdefault(name, value)
    return values
