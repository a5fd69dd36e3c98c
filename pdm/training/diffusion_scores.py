"""Scores each checkpoint of a flow under training: by held-out losses, and by samples."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.shards.latents import LatentShards
from pdm.events import EventLog
from pdm.models.denoiser import Denoiser
from pdm.tasks.task import Task
from pdm.training.distributed.workers import Workers
from pdm.training.held_out_losses import losses_by_bucket
from pdm.training.latent_dataset import LatentDataset
from pdm.training.loop.precision import autocast
from pdm.training.loop.state import TrainState
from pdm.training.monitoring.samples.grid import SampleGrid, flow_sampler
from pdm.training.monitoring.samples.preview_batches import annotations_of_task, previews_of_task
from pdm.training.monitoring.samples.scores import (
    ReferenceDistance,
    SampleScorer,
    record_samples,
)
from pdm.training.monitoring.samples.size_previews import SizePreviews, record_previews


def scoring_of_checkpoints(
    config: DiffusionConfig,
    splits: tuple[LatentShards, LatentShards],
    task: Task,
    make_dataset: Callable[[LatentShards], LatentDataset],
    grid: SampleGrid,
    distance: ReferenceDistance,
    *,
    run: Path,
    workers: Workers,
) -> Callable[[TrainState, EventLog | None], float]:
    """Make the function that a `RunFolder` calls on every worker after each checkpoint.

    It computes held-out losses, draws a sheet and, of several sizes, a sheet of all, and returns
    the held-out loss. On the first worker it also records them.

    Args:
        config: Section `diffusion` of the params.
        splits: Latents of train and val.
        task: Of the training.
        make_dataset: Makes the dataset of a split.
        grid: Draws and decodes.
        distance: Compares samples with held-out pictures.
        run: Folder of the run, for the sheets.
        workers: They share the work.
    """
    latents, held_out = splits
    of_main_size = latents.of_main_size(), held_out.of_main_size()
    make_previews = previews_of_task(task, of_main_size[1], grid.encode, guided=True)
    annotate = annotations_of_task(task, of_main_size[1])
    scorer = SampleScorer(grid, of_main_size, config.score_images, distance, workers)
    previews = SizePreviews(grid, splits, task, workers, guided=True)
    sampler = flow_sampler(config.schedule, len(latents.level_shapes))

    def score(state: TrainState, events: EventLog | None) -> float:
        ema = cast(Denoiser, state.ema)
        with autocast(config.training, workers.device):
            losses = losses_by_bucket(ema, held_out, make_dataset, config, workers)
            sheet, distances = scorer.draw(ema, sampler, make_previews, annotate)
            sizes_sheet = previews.draw(ema, sampler)
        if events is not None:
            scores = losses | distances
            record_samples("diffusion", sheet, scores, state.images_seen, events, run)
            record_previews(sizes_sheet, state.images_seen, events, run)
        return losses["val_loss"]

    return score
