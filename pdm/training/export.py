"""Writes a model folder from any checkpoint that a run keeps, such as the one with the best score.

A stage writes the model of its last checkpoint. This writes the same of another one: its EMA, with
all that a model folder holds, and in `config.json` the run and the score besides.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pdm import events
from pdm.config.autoencoder import AutoencoderConfig
from pdm.config.diffusion import DiffusionConfig
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, QualityGate
from pdm.registry import build_autoencoder, load_autoencoder, load_denoiser
from pdm.training import autoencoder, diffusion
from pdm.training.checkpoints.folder import Checkpoints, numbers_of
from pdm.training.checkpoints.run_folder import EVENTS, checkpoints_of
from pdm.training.checkpoints.run_settings import settings_of
from pdm.training.init_from import Origin, initialise
from pdm.training.loop.state import check_checkpoint

SCORES = {"autoencoder": "val_psnr", "diffusion": "val_loss"}  # the metric that ranks checkpoints

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Chosen:
    """The checkpoint to export.

    Args:
        path: Its folder, with files that match their digests.
        images_seen: In training.
        facts: For the model's `config.json`: `run` (the name of its folder) and `score` (the
            metric that ranks checkpoints, by its name; null if this one was not scored).
    """

    path: Path
    images_seen: int
    facts: dict[str, Any]

    def describe(self, model: Path) -> str:
        """A sentence on what was exported."""
        scored = (self.facts["score"] or {}).items()
        scores = "".join(f", {name} {value:.4g}" for name, value in scored)
        return f"{model}: the EMA of run {self.facts['run']} at {self.images_seen:,} images{scores}"


def export_autoencoder(
    config: AutoencoderConfig,
    *,
    shards: Path,
    runs: Path,
    run: Path | None,
    images_seen: int | None,
    model: Path,
) -> str:
    """Write the autoencoder of a checkpoint.

    Args:
        config: The present section `autoencoder`.
        shards: That the run was trained on.
        runs: Where the run of the present settings and data is, if no other is named.
        run: Folder of a run; None for that one.
        images_seen: Which checkpoint; None for the one with the best score.
        model: Folder to write, whole or not at all. An autoencoder that is there is replaced.

    Returns:
        A sentence on what was exported.

    Raises:
        BadInput: There is no such run or checkpoint, or none was scored; the data are not those of
            the run; `model` is something else than an autoencoder.
        QualityGate: The checkpoint, or the data, are damaged.
    """
    _check_output(model, "autoencoder", load_autoencoder)
    if run is None:
        run = _run_of_params(autoencoder.run_folder(config, shards=shards, runs=runs))
    else:
        config = settings_of(run, config, "autoencoder", {"shards": shards})
    chosen = _choose(run, checkpoints_of(run, config.training), images_seen, "autoencoder")
    network = _load_ema(build_autoencoder(config), chosen.path)
    origin = _origin(network, config, "autoencoder", shards, run)
    autoencoder.write_model(
        config,
        network,
        shards=shards,
        run=run,
        folder=model,
        images_seen=chosen.images_seen,
        origin=origin,
        facts=chosen.facts,
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
    """Write the diffusion model of a checkpoint: as `export_autoencoder`, with latents for shards.

    Raises:
        BadInput, QualityGate: As `export_autoencoder`.
    """
    _check_output(model, "diffusion", load_denoiser)
    if run is None:
        run = _run_of_params(diffusion.run_folder(config, latents=latents, runs=runs))
    else:
        config = settings_of(run, config, "diffusion", {"latents": latents})
    chosen = _choose(run, checkpoints_of(run, config.training), images_seen, "diffusion")
    network = diffusion.build_for_latents(config, LatentShards(latents, "train"))
    network = _load_ema(network, chosen.path)
    origin = _origin(network, config, "diffusion", latents, run)
    diffusion.write_model(
        config,
        network,
        latents=latents,
        run=run,
        folder=model,
        images_seen=chosen.images_seen,
        origin=origin,
        facts=chosen.facts,
    )
    return chosen.describe(model)


def _check_output(model: Path, stage: str, load: Callable[[Path], nn.Module]) -> None:
    """Refuse to replace what is no model of this stage."""
    for above in model.absolute().parents:
        if above.exists() and not above.is_dir():
            raise BadInput(f"{above} is a file; choose another folder than {model}")
        if (above / EVENTS).exists():
            raise BadInput(f"{model} is inside the run {above}; choose a folder outside of it")
    if not os.path.lexists(model):
        return
    try:
        load(model)
    except BadInput as error:
        raise BadInput(
            f"{model} exists and is not replaced, because it is no {stage} model ({error}); "
            "remove it, or choose another folder"
        ) from error


def _run_of_params(run: Path) -> Path:
    if not run.is_dir():
        raise BadInput(
            f"the present params and data have no run yet ({run} does not exist); train it, or "
            "name another run with --run"
        )
    return run


def _choose(run: Path, checkpoints: Checkpoints, images_seen: int | None, stage: str) -> Chosen:
    """The checkpoint with that progress, or the best one."""
    kept = numbers_of(run)
    if not kept:
        raise BadInput(f"{run} keeps no checkpoint; train it, or name another run with --run")
    best = checkpoints.best()
    listed = f"kept in {run}: {', '.join(map(str, kept))}"
    if images_seen is None and best is None:
        raise BadInput(f"no checkpoint was scored; choose one with --images N ({listed})")
    number = best if images_seen is None else images_seen
    if number not in kept:
        title = "the best checkpoint, at" if images_seen is None else "a checkpoint at"
        raise BadInput(f"{title} {number} images, is not kept; choose with --images N ({listed})")
    path = checkpoints.path(number)
    try:
        check_checkpoint(path)
    except ValueError as error:
        raise QualityGate(f"{error}; choose another with --images N ({listed})") from error
    return Chosen(path, number, {"run": run.name, "score": _score(run, number, SCORES[stage])})


def _score(run: Path, images_seen: int, metric: str) -> dict[str, float] | None:
    """The metric of a checkpoint in the run's log."""
    for event in reversed(events.read(run / EVENTS)):
        if event["images_seen"] == images_seen and metric in event.get("values", {}):
            return {metric: event["values"][metric]}
    return None


def _origin(
    network: nn.Module,
    config: AutoencoderConfig | DiffusionConfig,
    stage: str,
    data: Path,
    run: Path,
) -> Origin:
    """What the run started from; the network's weights are left as they are."""
    return initialise(
        network,
        config.init_from,
        stage=stage,
        working_folder=Path(),
        data=data,
        run=run,
        is_first=False,
    )


def _load_ema(network: Network, checkpoint: Path) -> Network:
    """The network with a checkpoint's EMA, as training has it when it writes the model."""
    path = checkpoint / "ema.safetensors"
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, OSError, SafetensorError) as error:
        said = " ".join(str(error).split())[:300]
        raise BadInput(f"{path} does not fit the network of its run: {said}") from error
    network.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False).eval()
