"""Writes the folder of a trained autoencoder: the EMA of a checkpoint."""

from pathlib import Path
from typing import Any

import torch

from pdm.config.buckets import training_size
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.data.shards import manifest
from pdm.data.shards.buckets import FACT, filled_buckets, has_buckets
from pdm.models.base_autoencoder import Autoencoder
from pdm.training.autoencoder_scores import Measurements
from pdm.training.checkpoints import snapshots
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.cost.utilisation import copy_to_meta
from pdm.training.monitoring.model_card import autoencoder_card
from pdm.training.objectives.perceptual import network_name
from pdm.training.source_checkpoint import SourceCheckpoint


def write_model(
    config: AutoencoderConfig,
    model: Autoencoder,
    *,
    shards: Path,
    checkpoint: SourceCheckpoint,
    measured: Measurements,
    folder: Path,
) -> None:
    """Write a model folder: the EMA of a checkpoint, with its card and scores.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint, as `measure_model` left it.
        shards: Shards that the run trains on.
        checkpoint: Where the model is from.
        measured: Scores of the model.
        folder: Folder to write, atomically.
    """
    run, images_seen, origin = checkpoint.run, checkpoint.images_seen, checkpoint.origin
    card = autoencoder_card(
        model,
        config,
        shards,
        psnr_by_levels=measured.psnr_by_levels,
        redundancy_by_level=measured.redundancy_by_level,
        images_seen=images_seen,
        init_from=origin.facts.get("init_from"),
    )
    with snapshots.for_model(run, config.training.ema_lengths, images_seen) as ema_folder:
        model.save_pretrained(
            folder,
            card=card,
            beside=[origin.pictures, ema_folder],
            **_facts_of_data(shards, (config.image_height_px, config.image_width_px)),
            images_seen=images_seen,
            **origin.facts,
            **_facts_of_model(model, config),
            val_psnr_by_levels=measured.psnr_by_levels,
            redundancy_by_level=measured.redundancy_by_level,
            **_judge(config),
            **checkpoint.facts,
        )


def _facts_of_data(shards: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What `config.json` says about the pictures of the training."""
    return {
        "image_height_px": size[0],
        "image_width_px": size[1],
        **_trained_sizes(shards, size),
        "shards_sha256": manifest.digest(shards),
    }


def _facts_of_model(model: Autoencoder, config: AutoencoderConfig) -> dict[str, Any]:
    """What `config.json` says about the size of the network."""
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "forward_flops": _forward_flops(model, config),
    }


def _trained_sizes(shards: Path, size: tuple[int, int]) -> dict[str, Any]:
    """The size at which each bucket was trained on; nothing if all pictures have one size."""
    listed = manifest.read(shards)
    if not has_buckets(listed.facts):
        return {}
    main = (listed.facts["width_px"], listed.facts["height_px"])
    entries = []
    for bucket in filled_buckets(listed, "train"):
        width, height = training_size(bucket.size, main, (size[1], size[0]))
        entries.append({"width_px": width, "height_px": height, "num_samples": bucket.num_samples})
    return {FACT: entries}


def _forward_flops(model: Autoencoder, config: AutoencoderConfig) -> int:
    """Count the operations of encoding and decoding one picture."""
    size = (config.image_height_px, config.image_width_px)
    on_meta, picture = copy_to_meta(model), torch.empty(1, 3, *size, device="meta")
    return flops_of(lambda: on_meta.decode(on_meta.encode(picture), size))


def _judge(config: AutoencoderConfig) -> dict[str, str]:
    """The network that judged in the training: it must not score the model, too."""
    name = network_name(config.perceptual) if config.perceptual else None
    return {"perceptual_network": name} if name else {}
