"""Measures a trained autoencoder and writes its model folder."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pdm.config.buckets import training_size
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.data.shards import manifest
from pdm.data.shards.buckets import FACT, filled_buckets, has_buckets
from pdm.data.shards.images import ImageShards
from pdm.errors import QualityGate
from pdm.machine.out_of_memory import explain_out_of_memory
from pdm.models.base_autoencoder import Autoencoder
from pdm.training.checkpoints import snapshots
from pdm.training.distributed.workers import Workers
from pdm.training.init_from import Origin
from pdm.training.latent_space.measure import measure_latents
from pdm.training.loop.precision import autocast
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.cost.utilisation import copy_to_meta
from pdm.training.monitoring.held_out import Reconstructions, psnr_by_prefix
from pdm.training.monitoring.model_card import autoencoder_card
from pdm.training.objectives.perceptual import network_name

logger = logging.getLogger(__name__)


def write_model(
    config: AutoencoderConfig,
    model: Autoencoder,
    *,
    shards: Path,
    run: Path,
    folder: Path,
    images_seen: int,
    origin: Origin,
    workers: Workers,
    reconstructed: Reconstructions | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Measure the EMA of a checkpoint, and write a model folder. Every worker must call this.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint; it gets the statistics of its latents here.
        shards: Shards that the run trains on.
        run: Folder of the run, with the checkpoint.
        folder: Folder to write, atomically.
        images_seen: Images seen by the checkpoint.
        origin: What the run started from.
        workers: Share the measurements; the first writes the folder.
        reconstructed: Scores of this very checkpoint, if it was scored just now.
        facts: Further entries of `config.json`.

    Raises:
        Unavailable: The device has too little memory.
        QualityGate: Scores or latents are not finite.

    Returns:
        "val_psnr_levels_2": PSNR of held-out pictures in dB, decoded from two levels; likewise for
        one, three, ... "redundancy_level_1": share of the variance of the second level that the
        coarser one explains; likewise for the others but the first.
    """
    size = (config.image_height_px, config.image_width_px)
    with explain_out_of_memory(
        workers.device,
        f"to measure the model on an image of {size[1]}x{size[0]}",
        "run the same command again on a device with more memory: the training is complete",
    ):
        scores = _scores(config, model, shards, workers, reconstructed)
        redundancy = _set_statistics(model, shards, size, workers)
    if not all(map(math.isfinite, [*scores, *redundancy])):
        raise QualityGate(
            f"autoencoder: its reconstructions after {images_seen:,} images are not finite: the "
            "training has diverged; lower learning_rate, or train in float32"
        )
    _log_results(scores, redundancy)
    if workers.is_first:
        card = autoencoder_card(
            model,
            config,
            shards,
            psnr_by_levels=scores,
            redundancy_by_level=redundancy,
            images_seen=images_seen,
            init_from=origin.facts.get("init_from"),
        )
        with snapshots.for_model(run, config.training.ema_lengths, images_seen) as ema_folder:
            model.save_pretrained(
                folder,
                card=card,
                beside=[origin.pictures, ema_folder],
                **_facts_of_data(shards, size),
                images_seen=images_seen,
                **origin.facts,
                **_facts_of_model(model, config),
                val_psnr_by_levels=scores,
                redundancy_by_level=redundancy,
                **_judge(config),
                **(facts or {}),
            )
    return _metrics(scores, redundancy)


def _scores(
    config: AutoencoderConfig,
    model: Autoencoder,
    shards: Path,
    workers: Workers,
    reconstructed: Reconstructions | None,
) -> list[float]:
    """PSNR of held-out pictures in dB by prefix, in the precision of the training, as for all
    checkpoints."""
    size = (config.image_height_px, config.image_width_px)
    known = reconstructed.by_levels if reconstructed else {}
    with autocast(config.training, workers.device):
        return psnr_by_prefix(model, ImageShards(shards, "val"), size, workers, known)


def _set_statistics(
    model: Autoencoder, shards: Path, size: tuple[int, int], workers: Workers
) -> list[float]:
    """Set the statistics of the latents, and give the redundancy of each level."""
    pictures, held_out = (ImageShards(shards, split) for split in ("train", "val"))
    return measure_latents(model, pictures, held_out, size, workers)


def _log_results(psnr_by_levels: list[float], redundancy_by_level: list[float]) -> None:
    """PSNR comes last, since a run's table shows the last line of each stage."""
    logger.info(
        "autoencoder: share of each level that the coarser ones predict: %s",
        ", ".join(f"{share:.2f}" for share in redundancy_by_level[1:]) or "one level only",
    )
    *partial, whole = (f"{score:.1f}" for score in psnr_by_levels)
    logger.info(
        "autoencoder: PSNR of held-out images %s dB%s",
        whole,
        f"; from fewer levels {', '.join(partial)} dB" if partial else "",
    )


def _metrics(psnr_by_levels: list[float], redundancy_by_level: list[float]) -> dict[str, float]:
    """Name the scores for the run's log; the coarsest level has no redundancy."""
    psnr = {f"val_psnr_levels_{count}": score for count, score in enumerate(psnr_by_levels, 1)}
    shares = {f"redundancy_level_{k}": share for k, share in enumerate(redundancy_by_level) if k}
    return psnr | shares


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
