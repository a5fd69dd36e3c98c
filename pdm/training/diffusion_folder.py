"""Builds the denoising network for latents, and writes its folder: the EMA of a checkpoint."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.task import FACT, task_record
from pdm.data.annotations import classes
from pdm.data.shards import buckets, manifest
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import with_condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape
from pdm.registry import build_denoiser
from pdm.tasks.find import build_task
from pdm.text.word_pieces import FILE_NAME as VOCABULARY
from pdm.training import lora
from pdm.training.checkpoints import snapshots
from pdm.training.init_from import Origin
from pdm.training.monitoring.cost.example_batches import diffusion_batch
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.cost.utilisation import copy_to_meta


def build_for_latents(config: DiffusionConfig, latents: LatentShards) -> Denoiser:
    """Build the network of a config for the levels of these latents, with random weights."""
    channels, facts = tuple(shape[0] for shape in latents.level_shapes), latents.manifest.facts
    return build_denoiser(config, channels, tuple(facts["level_downsamplings"]), facts)


def write_model(
    config: DiffusionConfig,
    model: Denoiser,
    *,
    latents: Path,
    run: Path,
    folder: Path,
    images_seen: int,
    origin: Origin,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder: the EMA of a checkpoint.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint; adapters of LoRA are merged.
        latents: Latents that the run trains on.
        run: Folder of the run, with the checkpoint.
        folder: Folder to write, atomically.
        images_seen: Images seen by the checkpoint.
        origin: What the run started from.
        facts: Further entries of `config.json`.
    """
    shards = LatentShards(latents, "train")
    known = shards.manifest.facts
    sizes = model.condition_sizes
    names = shards.classes if sizes is not None and sizes.num_classes else ()
    task = {} if config.task is None else {FACT: task_record(config.task)}
    task |= build_task(config.effective_task, known).facts()
    with (
        snapshots.for_model(run, config.training.ema_lengths, images_seen) as ema_folder,
        lora.adapter_folder(model, config.lora, run) as adapters,
    ):
        if config.lora is not None:
            model = lora.merge(model, config.lora)
            lora.merge_snapshots(ema_folder, config.lora)
            task[lora.FOLDER] = dataclasses.asdict(config.lora)
        model.save_pretrained(
            folder,
            beside=[origin.pictures, ema_folder, adapters, run / VOCABULARY],
            level_shapes=shards.level_shapes,
            image_height_px=known["image_height_px"],
            image_width_px=known["image_width_px"],
            latents_sha256=manifest.digest(latents),
            shards_sha256=known["shards_sha256"],
            autoencoder_sha256=known["autoencoder_sha256"],
            images_seen=images_seen,
            **origin.facts,
            **({classes.FACT: names} if names else {}),
            **buckets.facts_of_model(shards.manifest),
            **task,
            parameters=sum(weight.numel() for weight in model.parameters()),
            forward_flops=_forward_flops(model, config, shards.level_shapes),
            **(facts or {}),
        )


def _forward_flops(
    model: Denoiser, config: DiffusionConfig, level_shapes: tuple[LevelShape, ...]
) -> int:
    """Count the operations of one evaluation of the network, for one picture, with all levels."""
    sizes = model.condition_sizes
    latents, _, times, _, _, condition = diffusion_batch(config, level_shapes, 1, sizes=sizes)
    # In training all stages run; which others do depends on the times, which have no values here.
    velocity = with_condition(copy_to_meta(model).train(), condition)
    return flops_of(lambda: velocity(latents, times))
