"""The models of a pipeline folder, as components that diffusers loads, moves and lists."""

import dataclasses
import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.modeling_utils import ModelMixin

from pdm.config.networks.text import FrozenEncoderConfig
from pdm.config.records import from_record
from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import TextTask
from pdm.errors import BadInput
from pdm.inference.conditioning import NO_CONDITIONING, Conditioning
from pdm.inference.prompts import Prompts, text_task
from pdm.inference.sampling_networks import Networks, load_networks
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.registry import load_autoencoder
from pdm.tasks.find import build_task, task_of_model
from pdm.tasks.text import EMPTY

SAMPLING = "sampling.json"  # section `sample` of the params
GUIDE = "guide"  # folder of another model that guides
TEXT_ENCODER = "text_encoder"  # folder of a frozen encoder


class PyramidModel(ModelMixin):
    """Base class: a folder of this project as a component."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **options: Any) -> Self:
        """Load a component from its folder within a pipeline's.

        Raises:
            ValueError: Another precision than float32 was asked for.
        """
        dtype = options.get("dtype", options.get("torch_dtype"))  # its older name
        if dtype not in (None, torch.float32):
            raise ValueError(
                f"dtype is {dtype}, but noise and steps need float32; set "
                f'"precision": "bfloat16" in {SAMPLING} to compute the layers in it'
            )
        return cls._load(Path(pretrained_model_name_or_path))

    @classmethod
    @abstractmethod
    def _load(cls, folder: Path) -> Self:
        """Load the model of a folder."""

    def save_pretrained(self, *args: Any, **options: Any) -> None:
        """Refuse: `pyramid export diffusers` writes pipeline folders.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "copy the folder, or write it again by `pyramid export diffusers`"
        )


class AutoencoderModel(PyramidModel):
    """The autoencoder."""

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.network = network

    @classmethod
    def _load(cls, folder: Path) -> Self:
        return cls(load_autoencoder(folder))


class DiffusionModel(PyramidModel):
    """The diffusion model, with its guide and the settings of sampling.

    Args:
        networks: As loaded for the config.
        config: Section `sample` of the params.
        record: `config.json` of the model.
    """

    def __init__(self, networks: Networks, config: SampleConfig, record: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.networks, self.sampling, self.record = networks, config, record
        self.network, self.guide = networks.network, networks.guide  # moved with this module

    @classmethod
    def _load(cls, folder: Path) -> Self:
        config, record = read_sampling(folder.parent), record_of(folder)
        conditioning = _conditioning_of(folder, config, record)
        networks = load_networks(folder, config, torch.device("cpu"), conditioning)
        return cls(networks, config, record)


def read_sampling(folder: Path) -> SampleConfig:
    """Read the settings of sampling; a guide of another folder is the copy in this one.

    Raises:
        BadInput: They are missing, or of another version of the project.
    """
    path = folder / SAMPLING
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = from_record(SampleConfig, record, "sample")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path} cannot be read ({error}); export the models again") from error
    if config.guide is None or config.guide.path is None:
        return config
    guide = dataclasses.replace(config.guide, path=str(folder / GUIDE))
    return dataclasses.replace(config, guide=guide)


def _conditioning_of(
    folder: Path, config: SampleConfig, record: dict[str, Any]
) -> Conditioning | None:
    """Return what images show where that is not in the model's folder; else None."""
    task = task_of_model(record, None)
    if isinstance(task, TextTask) and isinstance(task.encoder, FrozenEncoderConfig):
        copied = dataclasses.replace(task.encoder, folder=str(folder.parent / TEXT_ENCODER))
        reading = text_task(folder, dataclasses.replace(task, encoder=copied))
        return Prompts((Prompt(EMPTY),), reading, config)
    found = build_task(task, record)
    return NO_CONDITIONING if found.needs_pictures or found.needs_maps else None
