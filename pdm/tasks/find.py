"""From the settings of a task to the task, and to the sizes of the network's condition."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.networks.unet import UNetConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.task import (
    FACT,
    ClassTask,
    InpaintingTask,
    LayoutTask,
    SemanticTask,
    SuperResolutionTask,
    TaskConfig,
    TextTask,
    UnconditionalTask,
    task_from_record,
)
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.models.levels.pyramid import Downsampling
from pdm.tasks.class_labels import ClassLabels
from pdm.tasks.inpainting import Inpainting
from pdm.tasks.layout import BoxLayout
from pdm.tasks.semantic import Semantic
from pdm.tasks.super_resolution import SuperResolution
from pdm.tasks.task import Levels, Task
from pdm.tasks.text import Text, TextFiles
from pdm.tasks.unconditional import Unconditional

KEY = "diffusion.model.condition"


def build_task(
    config: TaskConfig, facts: Mapping[str, Any], files: TextFiles | None = None
) -> Task:
    """Build the task that the settings name.

    Args:
        config: The settings.
        facts: Of the latents' manifest, or of a model's `config.json`.
        files: Where a task of text has its files; needed for its conditions.
    """
    match config:
        case UnconditionalTask():
            return Unconditional()
        case ClassTask():
            return ClassLabels()
        case InpaintingTask():
            return Inpainting(config)
        case SuperResolutionTask():
            return SuperResolution(config)
        case SemanticTask():
            return Semantic(facts)
        case TextTask():
            return Text(config, files)
        case LayoutTask():
            return BoxLayout(config, facts)


def task_of_model(record: Mapping[str, Any], condition: ConditionConfig | None) -> TaskConfig:
    """Return the task that a model was trained for.

    Args:
        record: The model's `config.json`.
        condition: Sizes of its condition.

    Raises:
        BadInput: This version does not know the task.
    """
    if FACT in record:
        try:
            return task_from_record(record[FACT])
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"the model was trained for the task {record[FACT]}, which this version does not "
                "know; load it with the version that trained it"
            ) from error
    if condition is not None and condition.num_classes:
        return ClassTask(kind="class")
    return UnconditionalTask(kind="unconditional")


def how_trained(task: TaskConfig) -> str:
    """Say for an error how a model was trained: without a condition, or for which task."""
    if isinstance(task, UnconditionalTask):
        return "without a condition"
    return f"for {task.kind}"


def check_task(config: DiffusionConfig, latents: LatentShards) -> None:
    """Check that the latents have what the task needs, and that stated sizes are those it needs.

    Raises:
        BadInput: The latents lack something, or a stated size differs; the message says what to do.
    """
    facts = latents.manifest.facts
    task = build_task(config.effective_task, facts)
    channels = tuple(shape[0] for shape in latents.level_shapes)
    needed = task.sizes(Levels(channels, tuple(facts["level_downsamplings"])), facts)
    if task.needs_pictures and not latents.has_pictures:
        raise BadInput(
            f"diffusion.task is {config.effective_task.kind}, but the latents have no "
            "images beside them; set latents.keep_pictures: true, and run the stage 'latents' "
            "again"
        )
    if config.condition is not None and config.condition != needed:
        raise BadInput(
            f"{KEY} states {_describe(config.condition)}, but diffusion.task "
            f"{config.effective_task.kind} needs {_describe(needed)} on these latents; set it to "
            "null"
        )
    if needed is not None and needed.token_width:
        _check_reading(config.network, tuple(facts["level_downsamplings"]))
    task.check(latents)


def _check_reading(
    network: UNetConfig | LatentUNetConfig, downsamplings: tuple[Downsampling, ...]
) -> None:
    """Refuse a network that would be trained without reading its text or boxes.

    Raises:
        BadInput: None of its resolutions is coarse enough for cross-attention.
    """
    if not isinstance(network, UNetConfig):
        return
    coarsest = int(downsamplings[-1]) * 2 ** (len(network.widths) - 1)
    if network.tokens_from > coarsest:
        own = network.cross_attention_from is not None
        key = "cross_attention_from" if own else "attention_from"
        raise BadInput(
            f"diffusion.model.{key} is {network.tokens_from}, so no layer would read the text or "
            f"the boxes: the network's coarsest downsampling is {coarsest}; set it to {coarsest} "
            "or less"
        )


def with_sizes(
    config: DiffusionConfig, levels: Levels, facts: Mapping[str, Any]
) -> UNetConfig | LatentUNetConfig:
    """Return the settings of the network with the sizes of its condition filled in.

    Raises:
        BadInput: The facts lack what the task needs, such as the names of the classes.
    """
    network = config.network
    if isinstance(network, UNetConfig) and network.condition is not None:
        return network
    sizes = build_task(config.effective_task, facts).sizes(levels, facts)
    if isinstance(network, UNetConfig):
        return dataclasses.replace(network, condition=sizes)
    if sizes is None:
        return network
    beside, classes = sum(sizes.level_channels), sizes.map_channels
    return dataclasses.replace(
        network,
        condition_channels=beside,
        map_classes=classes,
        token_width=sizes.token_width,
        text=sizes.text,
    )


def _describe(condition: ConditionConfig | None) -> str:
    sizes = dataclasses.asdict(condition) if condition else {}
    used = [f"{name} {value}" for name, value in sizes.items() if value]
    return ", ".join(used) or "no condition"
