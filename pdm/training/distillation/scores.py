"""Scores each checkpoint of a student: by its loss on held-out trajectories, and by samples."""

import math
from collections.abc import Callable
from typing import cast

import torch

from pdm.data.shards.latents import LatentShards
from pdm.diffusion.few_steps import take_few_steps
from pdm.diffusion.flow import Velocity
from pdm.events import EventLog
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Pyramid
from pdm.tasks.task import Task
from pdm.training.distillation.settings import NAME, Settings
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.distributed.workers import Workers
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import move_batch
from pdm.training.loop.state import TrainState
from pdm.training.monitoring.samples.grid import SampleGrid
from pdm.training.monitoring.samples.preview_batches import annotations_of_task, previews_of_task
from pdm.training.monitoring.samples.scores import SampleScorer, record_samples
from pdm.training.monitoring.samples.size_previews import SizePreviews, record_previews
from pdm.training.objectives.distillation import DistillationLosses

HELD_OUT_TRAJECTORIES, HELD_OUT_BATCH = 32, 8  # scored after each checkpoint; at once


def scoring_of_checkpoints(
    settings: Settings,
    splits: tuple[LatentShards, LatentShards],
    task: Task,
    losses: DistillationLosses,
    starts: TrajectoryStarts,
    grid: SampleGrid,
    workers: Workers,
) -> Callable[[TrainState, EventLog | None], float]:
    """Make the function that a `RunFolder` calls on every worker after each checkpoint.

    It computes the loss on trajectories that are not trained on, draws a sheet and, of several
    sizes, a sheet of all, and returns the loss. On the first worker it also records them.

    Args:
        settings: Of the distillation.
        splits: Latents of train and val.
        task: Of the training.
        losses: Of the student, with its stops.
        starts: Where the held-out trajectories begin, `HELD_OUT_BATCH` at once.
        grid: Draws and decodes.
        workers: They share the work.
    """
    config, run = settings.config, settings.run
    of_main_size = splits[0].of_main_size(), splits[1].of_main_size()
    distance = settings.build_reference_distance()
    scorer = SampleScorer(grid, of_main_size, config.score_images, distance, workers)
    make_previews = previews_of_task(task, of_main_size[1], grid.encode, guided=False)
    annotate = annotations_of_task(task, of_main_size[1])
    previews = SizePreviews(grid, splits, task, workers, guided=False)

    def sample(velocity: Velocity, noise: Pyramid) -> Pyramid:
        return take_few_steps(velocity, noise, losses.stops)

    def score(state: TrainState, events: EventLog | None) -> float:
        ema = cast(Denoiser, state.ema)
        with autocast(config.training, workers.device):
            loss = _held_out_loss(ema, losses, starts, workers)
            sheet, distances = scorer.draw(ema, sample, make_previews, annotate)
            sizes_sheet = previews.draw(ema, sample)
        if events is not None:
            scores = {"val_loss": loss} | distances
            record_samples(NAME, sheet, scores, state.images_seen, events, run)
            record_previews(sizes_sheet, state.images_seen, events, run)
        return loss

    return score


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
