"""What each worker of a distillation does: train the student, and score it at each checkpoint."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.shards.latents import LatentShards
from pdm.diffusion.few_steps import take_few_steps
from pdm.diffusion.flow import Velocity
from pdm.events import EventLog
from pdm.machine.device import log_device
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Pyramid
from pdm.registry import load_denoiser
from pdm.tasks.find import build_task
from pdm.tasks.text import TextFiles
from pdm.training import diffusion
from pdm.training.checkpoints.run_folder import open_run
from pdm.training.distillation.model_folder import write_model
from pdm.training.distillation.student import build_losses
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.distributed.workers import Workers
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import move_batch
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.samples.grid import SampleGrid
from pdm.training.monitoring.samples.preview_batches import annotations_of_task, previews_of_task
from pdm.training.monitoring.samples.scores import (
    BuildReferenceDistance,
    SampleScorer,
    record_samples,
)
from pdm.training.monitoring.samples.size_previews import SizePreviews, record_previews
from pdm.training.objectives.distillation import DistillationLosses

NAME = "diffusion, few steps"  # in the log
HELD_OUT_TRAJECTORIES, HELD_OUT_BATCH = 32, 8  # scored after each checkpoint; at once


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`.

    Args:
        config: With the settings of the distillation in place of `training`.
        run: Folder from `run_folder`.
        flow: Folder of the finished flow.
    """

    config: DiffusionConfig
    build_reference_distance: BuildReferenceDistance
    latents: Path
    run: Path
    model: Path
    flow: Path
    autoencoder: Path
    working_folder: Path = Path()

    @property
    def text_files(self) -> TextFiles:
        """Where a task of text has its files: the vocabulary is the flow's, and states of frozen
        encoders are where its training keeps them."""
        flow_run = self.run.parent.parent
        return TextFiles(self.flow, diffusion.text_cache(flow_run), self.working_folder)


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
    distance = settings.build_reference_distance()
    of_main_size = latents.of_main_size(), held_out.of_main_size()
    scorer = SampleScorer(grid, of_main_size, config.score_images, distance, workers)

    sizes = losses.model.condition_sizes
    task = build_task(config.effective_task, facts, settings.text_files)

    def starts(purpose: str, batch_size: int = training.batch_size) -> TrajectoryStarts:
        return TrajectoryStarts(latents, config, purpose, batch_size, sizes, grid.encode, task)

    make_previews = previews_of_task(task, of_main_size[1], grid.encode, guided=False)
    annotate = annotations_of_task(task, of_main_size[1])
    previews = SizePreviews(grid, (latents, held_out), task, workers, guided=False)

    def sample(velocity: Velocity, noise: Pyramid) -> Pyramid:
        return take_few_steps(velocity, noise, losses.stops)

    held_out_starts = starts("held-out trajectories", HELD_OUT_BATCH)

    def score(state: TrainState, events: EventLog | None) -> float:
        ema = cast(Denoiser, state.ema)
        with autocast(training, workers.device):
            loss = _held_out_loss(ema, losses, held_out_starts, workers)
            sheet, distances = scorer.draw(ema, sample, make_previews, annotate)
            sizes_sheet = previews.draw(ema, sample)
        if events is not None:
            scores = {"val_loss": loss} | distances
            record_samples(NAME, sheet, scores, state.images_seen, events, settings.run)
            record_previews(sizes_sheet, state.images_seen, events, settings.run)
        return loss

    state = TrainState(losses.model, training)
    run = open_run(settings.run, NAME, state, training, workers, score)
    prepare_blocks(losses.model, training, workers.device)
    network = workers.wrap(losses, training)
    train(state, network, starts("trajectories"), training, run, workers)
    if workers.is_first:
        write_model(
            settings.model,
            cast(Denoiser, state.ema),
            losses.stops,
            config=config,
            flow=settings.flow,
            images_seen=state.images_seen,
        )


@torch.no_grad()
def _held_out_loss(
    ema: Denoiser, losses: DistillationLosses, starts: TrajectoryStarts, workers: Workers
) -> float:
    """Compute the EMA's loss on trajectories that are not trained on; the workers share them."""
    network = losses.of_network(ema)

    def measure(start: int) -> float:
        batch = starts.load(range(start, start + HELD_OUT_BATCH))
        return float(network(*move_batch(batch, workers.device))["loss"])

    parts = workers.map(measure, range(0, HELD_OUT_TRAJECTORIES, HELD_OUT_BATCH))
    return math.fsum(parts) / len(parts)
