"""The stage `diffusion`: trains the pyramid UNet on latents by rectified flow."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.task import TextTask
from pdm.data.bucket_order import describe_order
from pdm.data.shards import manifest
from pdm.data.shards.buckets import has_buckets
from pdm.data.shards.latents import LatentShards
from pdm.machine.device import log_device
from pdm.models.denoiser import Denoiser
from pdm.tasks.find import build_task, check_task
from pdm.tasks.text import Text, TextFiles, prepare_text
from pdm.training import lora
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.plan import TrainingPlan, plan_training
from pdm.training.checkpoints.run_folder import open_run
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.diffusion_folder import build_for_latents, write_model
from pdm.training.diffusion_scores import scoring_of_checkpoints
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.distributed.workers import Workers
from pdm.training.init_from import Origin, check_source, initialise, warn_of_other_latents
from pdm.training.latent_dataset import LatentDataset
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.cost.example_batches import diffusion_batch
from pdm.training.monitoring.cost.utilisation import flops_per_image
from pdm.training.monitoring.samples.grid import SampleGrid, check_autoencoder
from pdm.training.monitoring.samples.scores import (
    BuildReferenceDistance,
    check_split_sizes,
)
from pdm.training.objectives.losses import FlowLosses
from pdm.training.source_checkpoint import SourceCheckpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`."""

    config: DiffusionConfig
    build_reference_distance: BuildReferenceDistance
    latents: Path
    run: Path
    model: Path
    autoencoder: Path
    working_folder: Path = Path()

    @property
    def text_files(self) -> TextFiles:
        """Where a task of text has its files; all runs share the states of frozen encoders."""
        return TextFiles(self.run, text_cache(self.run), self.working_folder)


def text_cache(run: Path) -> Path:
    """Return the folder that the run of a flow shares with all others, for the states of frozen
    text encoders."""
    return run.parent.parent / "text"


def run_folder(config: DiffusionConfig, *, latents: Path, runs: Path) -> Path:
    """Return the folder of the run with these settings and latents.

    Raises:
        BadInput: The latents have no manifest.
    """
    manifest.load(latents)
    return runs / run_record(config, latents).name


def plan(config: DiffusionConfig, *, latents: Path, runs: Path, model: Path) -> TrainingPlan:
    """What `train_diffusion` would do, and what becomes of the model that is there.

    Raises:
        BadInput: The latents have no manifest.
    """
    manifest.load(latents)
    return plan_training(runs, run_record(config, latents), config, model)


def train_diffusion(
    config: DiffusionConfig,
    *,
    latents: Path,
    autoencoder: Path,
    run: Path,
    model: Path,
    curves: Path,
    build_reference_distance: BuildReferenceDistance,
    launch: Launch = launch_on_ray,
) -> None:
    """Train, or resume training, and write the model.

    Args:
        config: Section `diffusion` of the params.
        latents: Written by the stage `latents`.
        autoencoder: Folder of the model that wrote the latents. It decodes the samples drawn during
            training, and has no effect on the trained model.
        run: Folder from `run_folder`, for events, checkpoints and, at the end, the model.
        model: Folder to write the trained model to: the EMA weights.
        curves: CSV file to write the losses to.
        build_reference_distance: Builds the distance from held-out pictures to score samples by.
        launch: Starts the workers.

    Raises:
        BadInput: The model to start from is missing or has another sha256.
        BadInput, QualityGate: The latents or the autoencoder are missing or damaged, the
            autoencoder is not the one that wrote the latents, or too few latents are held out.
        QualityGate: A loss is not finite.
        Unavailable: The cluster has fewer CPUs or GPUs than workers.
        Preempted: SIGTERM arrived; a checkpoint was saved.
    """
    found = check_inputs(config, latents=latents, autoencoder=autoencoder)  # not on the cluster
    if config.init_from and is_first_process():
        source = check_source(config.init_from, "diffusion")
        warn_of_other_latents(source, found[0].manifest.facts["autoencoder_sha256"])
    if is_first_process():
        earlier_runs.prepare(run, run_record(config, latents), config)
    paths = (path.absolute() for path in (latents, run, run / finished.MODEL, autoencoder, Path()))
    settings = Settings(config, build_reference_distance, *paths)
    if is_first_process() and isinstance(config.task, TextTask):
        origin = Path(config.init_from.path) if config.init_from else None
        prepare_text(config.task, found, settings.text_files, origin)
    launch(train_on_worker, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.publish(run, config.training, model=model, curves=curves)


def check_inputs(
    config: DiffusionConfig, *, latents: Path, autoencoder: Path
) -> list[LatentShards]:
    """Check what can be checked before the work and its tracking begin; return both splits.

    Raises:
        BadInput, QualityGate: As `train_diffusion`.
    """
    found = [LatentShards(latents, split) for split in ("train", "val")]
    check_autoencoder(autoencoder, found[0].manifest.facts)
    check_task(config, found[0])
    check_split_sizes([split.of_main_size() for split in found], config.score_images)
    if config.init_from:
        check_source(config.init_from, "diffusion")
    return found


def run_record(config: DiffusionConfig, latents: Path) -> RunRecord:
    """Return the facts that name a run: the settings and the latents."""
    return RunRecord.of("diffusion", config, {"latents": manifest.digest(latents)})


def train_on_worker(settings: Settings, workers: Workers) -> None:
    """Train; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    latents, held_out = (LatentShards(settings.latents, split) for split in ("train", "val"))
    model, origin = _initial_model(settings, latents, workers)
    facts = latents.manifest.facts
    grid, sizes = SampleGrid(settings.autoencoder, facts, workers.device), model.condition_sizes
    task = build_task(config.effective_task, facts, settings.text_files)

    def make_dataset(shards: LatentShards) -> LatentDataset:
        return LatentDataset(shards, config, sizes, grid.encode, task)

    score = scoring_of_checkpoints(
        config,
        (latents, held_out),
        task,
        make_dataset,
        grid,
        settings.build_reference_distance(),
        run=settings.run,
        workers=workers,
    )
    losses = FlowLosses(model, config.level_loss_weights)
    share = training.micro_batch_size(workers.count)
    flops = flops_per_image(losses, _example_batch(config, model, latents, share))
    state = TrainState(model, training)
    run = open_run(settings.run, "diffusion", state, training, workers, score)
    if isinstance(task, Text) and not state.images_seen:
        run.score_checkpoint(state, run.events)  # the sheet to compare all later ones with
    prepare_blocks(model, training, workers.device)
    network = workers.wrap(losses, training)
    data = make_dataset(latents)
    if workers.is_first and has_buckets(facts):
        names = [bucket.name for bucket in latents.buckets]
        logger.info("diffusion: %s", describe_order(data.order, names))
    train(state, network, data, training, run, workers, flops_per_image=flops)
    if workers.is_first:
        write_model(
            config,
            cast(Denoiser, state.ema),
            latents=settings.latents,
            checkpoint=SourceCheckpoint(
                run=settings.run, images_seen=state.images_seen, origin=origin
            ),
            folder=settings.model,
        )


def _initial_model(
    settings: Settings, latents: LatentShards, workers: Workers
) -> tuple[Denoiser, Origin]:
    """Build the network that the training starts with, and say what its weights are from."""
    config = settings.config
    torch.manual_seed(config.training.seed)
    model = build_for_latents(config, latents).to(workers.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
    origin = initialise(
        model,
        config.init_from,
        stage="diffusion",
        working_folder=settings.working_folder,
        listed=[settings.latents, settings.autoencoder],
        run=settings.run,
        is_first=workers.is_first,
        complete=config.lora is not None,
    )
    return lora.attach(model, config.lora), origin


def _example_batch(
    config: DiffusionConfig, model: Denoiser, latents: LatentShards, count: int
) -> Batch:
    return diffusion_batch(config, latents.level_shapes, count, sizes=model.condition_sizes)
