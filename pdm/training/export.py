"""Writes a model folder from any checkpoint that a run keeps, such as the one with the best score.

A stage writes the model of its last checkpoint. This module does the same for another checkpoint:
it writes the EMA weights with everything else in a model folder, and adds the run and the score to
`config.json`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import nn

from pdm import events, weights
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.counts import counted
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, QualityGate
from pdm.machine.device import choose_device
from pdm.registry import build_autoencoder, load_autoencoder, load_denoiser
from pdm.training import autoencoder, autoencoder_folder, diffusion, diffusion_folder, lora
from pdm.training.autoencoder_scores import measure_model
from pdm.training.checkpoints import finished
from pdm.training.checkpoints.folder import Checkpoints, list_checkpoints
from pdm.training.checkpoints.run_folder import EVENTS, checkpoints_of
from pdm.training.checkpoints.run_settings import settings_of
from pdm.training.checkpoints.sharded_files import load_whole
from pdm.training.diffusion_folder import build_for_latents
from pdm.training.distributed.workers import Workers
from pdm.training.init_from import Origin, initialise
from pdm.training.loop.state import check_checkpoint
from pdm.training.source_checkpoint import SourceCheckpoint

SCORES = {"autoencoder": "val_psnr", "diffusion": "val_loss"}  # the metric that ranks checkpoints

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class ChosenCheckpoint:
    """The checkpoint to export.

    Args:
        path: Folder of the checkpoint, whose files match their digests.
        images_seen: Images seen by the checkpoint.
        facts: For the model's `config.json`: `run` (name of the run's folder) and `score` (the
            metric that ranks checkpoints, by its name; null if this one was not scored).
    """

    path: Path
    images_seen: int
    facts: dict[str, Any]

    def source(self, run: Path, origin: Origin) -> SourceCheckpoint:
        """Return it as what a model folder is written from."""
        return SourceCheckpoint(
            run=run, images_seen=self.images_seen, origin=origin, facts=self.facts
        )

    def describe(self, model: Path) -> str:
        """Say what was exported."""
        scored = (self.facts["score"] or {}).items()
        scores = "".join(f", {name} {value:.4g}" for name, value in scored)
        images = counted(self.images_seen, "image")
        return f"{model}: the EMA of run {self.facts['run']} at {images}{scores}"


def export_autoencoder(
    config: AutoencoderConfig,
    *,
    shards: Path,
    runs: Path,
    run: Path | None,
    images_seen: int | None,
    model: Path,
) -> str:
    """Write an autoencoder from a checkpoint.

    Args:
        config: The present section `autoencoder` of the params.
        shards: Shards that the run was trained on.
        runs: Folder of the stage's runs.
        run: Folder of the run; None for the run of the present settings and data.
        images_seen: Images seen by the checkpoint; None for the one with the best score.
        model: Folder to write, atomically. An existing autoencoder is replaced.

    Returns:
        A sentence that says what was exported.

    Raises:
        BadInput: The run or checkpoint does not exist, or no checkpoint was scored; the data are
            not those of the run; or `model` exists and is not an autoencoder.
        QualityGate: The checkpoint or the data are damaged.
    """
    _check_output(model, "autoencoder", load_autoencoder)
    if run is None:
        run = _run_of_params(autoencoder.run_folder(config, shards=shards, runs=runs))
    else:
        config = settings_of(run, config, "autoencoder", {"shards": shards})
    chosen = _choose_checkpoint(
        run, checkpoints_of(run, config.training), images_seen, "autoencoder"
    )
    if finished.images_seen(run) == chosen.images_seen and finished.is_sound(run):
        # The training has measured this model; measuring large pictures again would take long.
        weights.copy(run / finished.MODEL, model, chosen.facts)
        return chosen.describe(model)
    network = _load_ema(build_autoencoder(config), chosen.path)
    origin = _find_origin(network, config, "autoencoder", shards, run)
    workers = Workers(next(network.parameters()).device)
    measured = measure_model(
        config, network, shards, images_seen=chosen.images_seen, workers=workers
    )
    autoencoder_folder.write_model(
        config,
        network,
        shards=shards,
        checkpoint=chosen.source(run, origin),
        measured=measured,
        folder=model,
    )
    return chosen.describe(model)


def export_diffusion(
    config: DiffusionConfig,
    *,
    latents: Path,
    runs: Path,
    run: Path | None,
    images_seen: int | None,
    model: Path,
) -> str:
    """Write a diffusion model from a checkpoint, like `export_autoencoder`, with latents for
    shards.

    Raises:
        BadInput, QualityGate: As for `export_autoencoder`.
    """
    _check_output(model, "diffusion", load_denoiser)
    if run is None:
        run = _run_of_params(diffusion.run_folder(config, latents=latents, runs=runs))
    else:
        config = settings_of(run, config, "diffusion", {"latents": latents})
    chosen = _choose_checkpoint(run, checkpoints_of(run, config.training), images_seen, "diffusion")
    network = build_for_latents(config, LatentShards(latents, "train"))
    origin = _find_origin(network, config, "diffusion", latents, run)
    network = _load_ema(lora.attach(network, config.lora), chosen.path)
    diffusion_folder.write_model(
        config,
        network,
        latents=latents,
        checkpoint=chosen.source(run, origin),
        folder=model,
    )
    return chosen.describe(model)


def _check_output(model: Path, stage: str, load: Callable[[Path], nn.Module]) -> None:
    """Refuse to replace anything that is not a model of this stage."""
    for above in model.absolute().parents:
        if above.exists() and not above.is_dir():
            raise BadInput(f"{above} is a file, not a folder; choose another folder than {model}")
        if (above / EVENTS).exists():
            raise BadInput(f"{model} is inside the run {above}; choose a folder outside of it")
    if not os.path.lexists(model):
        return
    try:
        load(model)
    except BadInput as error:
        raise BadInput(
            f"{model} exists and is not replaced, because it is not a model of {stage} ({error}); "
            "remove it, or choose another folder"
        ) from error


def _run_of_params(run: Path) -> Path:
    if not run.is_dir():
        raise BadInput(
            f"the present params and data have no run yet ({run} does not exist); train it, or "
            "name another run with --run"
        )
    return run


def _choose_checkpoint(
    run: Path, checkpoints: Checkpoints, images_seen: int | None, stage: str
) -> ChosenCheckpoint:
    """Find the checkpoint at `images_seen`, or the best one."""
    kept = list_checkpoints(run)
    if not kept:
        raise BadInput(f"{run} has no checkpoint; train it, or name another run with --run")
    best = checkpoints.best()
    listed = f"{run} has: {', '.join(map(str, kept))}"
    if images_seen is None and best is None:
        raise BadInput(f"no checkpoint has a score; choose one with --images N ({listed})")
    number = best if images_seen is None else images_seen
    if number not in kept:
        title = "best checkpoint" if images_seen is None else "checkpoint"
        images = counted(number or 0, "image")
        raise BadInput(f"no {title} at {images}; choose one with --images N ({listed})")
    path = checkpoints.path(number)
    try:
        check_checkpoint(path)
    except ValueError as error:
        raise QualityGate(f"{error}; choose another with --images N ({listed})") from error
    return ChosenCheckpoint(
        path, number, {"run": run.name, "score": _find_score(run, number, SCORES[stage])}
    )


def _find_score(run: Path, images_seen: int, metric: str) -> dict[str, float] | None:
    """Find the metric of a checkpoint in the run's log; None if it was not scored."""
    for event in reversed(events.read(run / EVENTS)):
        if event["images_seen"] == images_seen and metric in event.get("values", {}):
            return {metric: event["values"][metric]}
    return None


def _find_origin(
    network: nn.Module,
    config: AutoencoderConfig | DiffusionConfig,
    stage: str,
    data: Path,
    run: Path,
) -> Origin:
    """Find out what the run started from; the network's weights stay as they are."""
    # A diffusion model's run has the joint list of its latents and their autoencoder.
    listed = [data] if stage == "autoencoder" else [data, run]
    return initialise(
        network,
        config.init_from,
        stage=stage,
        working_folder=Path(),
        listed=listed,
        run=run,
        is_first=False,
    )


def _load_ema(network: Network, checkpoint: Path) -> Network:
    """Load a checkpoint's EMA into the network, in the state in which training writes models."""
    try:
        network.load_state_dict(load_whole(checkpoint, "ema"))
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(
            f"the EMA of {checkpoint} does not fit the network of its run: {reason}"
        ) from error
    network.to(choose_device())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False).eval()
