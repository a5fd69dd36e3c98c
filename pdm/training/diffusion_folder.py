"""Builds the denoising network for latents, and writes its folder: the EMA of a checkpoint."""

import dataclasses
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
from pdm.training.monitoring.cost.example_batches import diffusion_batch
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.cost.utilisation import copy_to_meta
from pdm.training.source_checkpoint import SourceCheckpoint


def build_for_latents(config: DiffusionConfig, latents: LatentShards) -> Denoiser:
    """Build the network of a config for the levels of these latents, with random weights."""
    channels, facts = tuple(shape[0] for shape in latents.level_shapes), latents.manifest.facts
    return build_denoiser(config, channels, tuple(facts["level_downsamplings"]), facts)


def write_model(
    config: DiffusionConfig,
    model: Denoiser,
    *,
    latents: Path,
    checkpoint: SourceCheckpoint,
    folder: Path,
) -> None:
    """Write a model folder: the EMA of a checkpoint.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint; adapters of LoRA are merged.
        latents: Latents that the run trains on.
        checkpoint: Where the model is from.
        folder: Folder to write, atomically.
    """
    run, images_seen, origin = checkpoint.run, checkpoint.images_seen, checkpoint.origin
    shards = LatentShards(latents, "train")
    task = _facts_of_task(config, model, shards)
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
            **_facts_of_data(shards, manifest.digest(latents)),
            images_seen=images_seen,
            **origin.facts,
            **task,
            parameters=sum(weight.numel() for weight in model.parameters()),
            forward_flops=_forward_flops(model, config, shards.level_shapes),
            **checkpoint.facts,
        )


def _facts_of_data(shards: LatentShards, latents_sha256: str) -> dict[str, Any]:
    """What `config.json` says about the latents of the training, and the images behind them."""
    known = shards.manifest.facts
    taken = ("image_height_px", "image_width_px", "shards_sha256", "autoencoder_sha256")
    return {
        "level_shapes": shards.level_shapes,
        "latents_sha256": latents_sha256,
        **{name: known[name] for name in taken},
        **buckets.facts_of_model(shards.manifest),
    }


def _facts_of_task(
    config: DiffusionConfig, model: Denoiser, shards: LatentShards
) -> dict[str, Any]:
    """What `config.json` says about the task: its settings, and the names of its classes."""
    facts: dict[str, Any] = {}
    if config.task is not None:
        facts[FACT] = task_record(config.task)
    sizes = model.condition_sizes
    if sizes is not None and sizes.num_classes and shards.classes:
        facts[classes.FACT] = shards.classes
    return facts | build_task(config.effective_task, shards.manifest.facts).facts()


def _forward_flops(
    model: Denoiser, config: DiffusionConfig, level_shapes: tuple[LevelShape, ...]
) -> int:
    """Count the operations of one evaluation of the network, for one picture, with all levels."""
    sizes = model.condition_sizes
    latents, _, times, _, _, condition = diffusion_batch(config, level_shapes, 1, sizes=sizes)
    # In training all stages run; which others do depends on the times, which have no values here.
    velocity = with_condition(copy_to_meta(model).train(), condition)
    return flops_of(lambda: velocity(latents, times))
