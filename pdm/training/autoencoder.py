"""The stage `autoencoder`: trains the pyramid autoencoder on pictures from the shards."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.data.bucket_order import describe_order
from pdm.data.shards import manifest
from pdm.data.shards.buckets import has_buckets
from pdm.data.shards.images import ImageShards
from pdm.machine.device import log_device
from pdm.models.base_autoencoder import Autoencoder
from pdm.registry import build_autoencoder
from pdm.training.autoencoder_folder import write_model
from pdm.training.autoencoder_scores import CheckpointScorer, measure_model
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.plan import TrainingPlan, plan_training
from pdm.training.checkpoints.run_folder import RunFolder, open_run
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.distributed.workers import Workers
from pdm.training.init_from import Origin, check_source, initialise
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.loop.updates.optimizer import DiscriminatorTraining
from pdm.training.monitoring.cost.example_batches import autoencoder_batch
from pdm.training.monitoring.cost.utilisation import flops_per_image
from pdm.training.objectives.adversarial import build_adversary
from pdm.training.objectives.losses import AutoencoderLosses
from pdm.training.objectives.perceptual import load_perceptual
from pdm.training.picture_dataset import PictureDataset
from pdm.training.source_checkpoint import SourceCheckpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`."""

    config: AutoencoderConfig
    shards: Path
    run: Path
    model: Path
    working_folder: Path = Path()


def run_folder(config: AutoencoderConfig, *, shards: Path, runs: Path) -> Path:
    """Return the folder of the run with these settings and shards.

    Raises:
        BadInput: The shards have no manifest.
    """
    manifest.load(shards)
    return runs / run_record(config, shards).name


def plan(config: AutoencoderConfig, *, shards: Path, runs: Path, model: Path) -> TrainingPlan:
    """What `train_autoencoder` would do, and what becomes of the model that is there.

    Raises:
        BadInput: The shards have no manifest.
    """
    manifest.load(shards)
    return plan_training(runs, run_record(config, shards), config, model)


def train_autoencoder(
    config: AutoencoderConfig,
    *,
    shards: Path,
    run: Path,
    model: Path,
    curves: Path,
    launch: Launch = launch_on_ray,
) -> None:
    """Train, or resume training, and write the model.

    Args:
        config: Section `autoencoder` of the params.
        shards: Written by the stage `shard`.
        run: Folder from `run_folder`, for events, checkpoints and, at the end, the model.
        model: Folder to write the trained model to: the EMA weights and the latents' statistics.
        curves: CSV file to write the losses to.
        launch: Starts the workers.

    Raises:
        BadInput, QualityGate: The shards are missing or damaged.
        BadInput: The perceptual network, or the model to start from, is missing or has another
            sha256.
        QualityGate: A loss is not finite.
        Unavailable: The cluster has fewer CPUs or GPUs than workers.
        Preempted: SIGTERM arrived; a checkpoint was saved.
    """
    check_inputs(config, shards=shards)  # fail here rather than on the cluster
    if is_first_process():
        earlier_runs.prepare(run, run_record(config, shards), config)
    if config.perceptual and config.perceptual.path:
        path = str(Path(config.perceptual.path).absolute())
        config = replace(config, perceptual=replace(config.perceptual, path=path))
    paths = (path.absolute() for path in (shards, run, run / finished.MODEL, Path()))
    settings = Settings(config, *paths)
    launch(train_on_worker, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.publish(run, config.training, model=model, curves=curves)


def check_inputs(config: AutoencoderConfig, *, shards: Path) -> None:
    """Check what can be checked before the work and its tracking begin.

    Raises:
        BadInput, QualityGate: As `train_autoencoder`.
    """
    ImageShards(shards, "train"), ImageShards(shards, "val")
    if config.perceptual:
        load_perceptual(config.perceptual, torch.device("cpu"))
    if config.init_from:
        check_source(config.init_from, "autoencoder")


def run_record(config: AutoencoderConfig, shards: Path) -> RunRecord:
    """Return the facts that name a run: the settings and the shards."""
    return RunRecord.of("autoencoder", config, {"shards": manifest.digest(shards)})


def train_on_worker(settings: Settings, workers: Workers) -> None:
    """Train; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    images, held_out = (ImageShards(settings.shards, split) for split in ("train", "val"))
    model, origin = _initial_model(settings, workers)
    score = CheckpointScorer(config, held_out, settings.run, workers)
    losses = build_losses(model, config, workers.device)
    share = training.micro_batch_size(workers.count)
    flops = flops_per_image(losses, autoencoder_batch(config, model, share))
    state = TrainState(model, training, discriminator_training(losses))
    run = open_run(settings.run, "autoencoder", state, training, workers, score)
    prepare_blocks(model, training, workers.device)
    network = workers.wrap(losses, training)
    pictures = PictureDataset(images, config, model)
    if workers.is_first and has_buckets(images.manifest.facts):
        names = [bucket.name for bucket in images.buckets]
        logger.info("autoencoder: %s", describe_order(pictures.order, names))
    train(state, network, pictures, training, run, workers, flops_per_image=flops)
    _write_trained(settings, state, origin, workers, run, score)


def _initial_model(settings: Settings, workers: Workers) -> tuple[Autoencoder, Origin]:
    """Build the model that the training starts with, and say what its weights are from."""
    config = settings.config
    torch.manual_seed(config.training.seed)
    model = build_autoencoder(config).to(workers.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
    origin = initialise(
        model,
        config.init_from,
        stage="autoencoder",
        working_folder=settings.working_folder,
        listed=[settings.shards],
        run=settings.run,
        is_first=workers.is_first,
    )
    return model, origin


def _write_trained(
    settings: Settings,
    state: TrainState,
    origin: Origin,
    workers: Workers,
    run: RunFolder,
    score: CheckpointScorer,
) -> None:
    """Measure the trained model, on all workers, and write its folder."""
    config, seen, ema = settings.config, state.images_seen, ema_model(state)
    measured = measure_model(
        config,
        ema,
        settings.shards,
        images_seen=seen,
        workers=workers,
        reconstructed=score.newest(seen),
    )
    if run.events is None:
        return
    write_model(
        config,
        ema,
        shards=settings.shards,
        checkpoint=SourceCheckpoint(run=settings.run, images_seen=seen, origin=origin),
        measured=measured,
        folder=settings.model,
    )
    run.events.metrics(measured.metrics(), seen)


def build_losses(
    model: Autoencoder, config: AutoencoderConfig, device: torch.device
) -> AutoencoderLosses:
    """Build the model with its losses."""
    perceptual = load_perceptual(config.perceptual, device) if config.perceptual else None
    adversary = build_adversary(config, perceptual)
    if adversary is not None:
        adversary.to(device)
        if adversary.sees_features:  # they are in this format
            adversary.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return AutoencoderLosses(model, config, perceptual, adversary)


def discriminator_training(losses: AutoencoderLosses) -> DiscriminatorTraining | None:
    """Return what the optimizer needs to know of the discriminator; None without one."""
    if losses.adversary is None:
        return None
    config = losses.adversary.config
    return DiscriminatorTraining(losses.adversary, config.learning_rate, config.start_images)


def ema_model(state: TrainState) -> Autoencoder:
    """Return the EMA of the model."""
    assert isinstance(state.ema, Autoencoder)
    return state.ema
