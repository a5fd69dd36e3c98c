"""What each worker of a distillation does: train the student, and score it at each checkpoint."""

from typing import cast

import torch

from pdm.data.shards.latents import LatentShards
from pdm.machine.device import log_device
from pdm.models.denoiser import Denoiser
from pdm.registry import load_denoiser
from pdm.tasks.find import build_task
from pdm.training.checkpoints.run_folder import open_run
from pdm.training.distillation.model_folder import write_model
from pdm.training.distillation.scores import HELD_OUT_BATCH, scoring_of_checkpoints
from pdm.training.distillation.settings import NAME, Settings
from pdm.training.distillation.student import build_losses
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.distributed.workers import Workers
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.samples.grid import SampleGrid


def train_on_worker(settings: Settings, workers: Workers) -> None:
    """Distil; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    latents, held_out = (LatentShards(settings.latents, split) for split in ("train", "val"))
    torch.manual_seed(training.seed)
    facts = latents.manifest.facts
    losses = build_losses(config, load_denoiser(settings.flow), workers.device, facts)
    grid = SampleGrid(settings.autoencoder, facts, workers.device)
    sizes = losses.model.condition_sizes
    task = build_task(config.effective_task, facts, settings.text_files)

    def starts(purpose: str, batch_size: int) -> TrajectoryStarts:
        return TrajectoryStarts(latents, config, purpose, batch_size, sizes, grid.encode, task)

    held_out_starts = starts("held-out trajectories", HELD_OUT_BATCH)
    score = scoring_of_checkpoints(
        settings, (latents, held_out), task, losses, held_out_starts, grid, workers
    )
    state = TrainState(losses.model, training)
    run = open_run(settings.run, NAME, state, training, workers, score)
    prepare_blocks(losses.model, training, workers.device)
    network = workers.wrap(losses, training)
    train(state, network, starts("trajectories", training.batch_size), training, run, workers)
    if workers.is_first:
        write_model(
            settings.model,
            cast(Denoiser, state.ema),
            losses.stops,
            config=config,
            flow=settings.flow,
            images_seen=state.images_seen,
        )
