"""The stage `diffusion`: trains the pyramid UNet on latents by rectified flow."""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pdm.config.diffusion import ConditionConfig, DiffusionConfig
from pdm.config.task import FACT, TextTask, task_record
from pdm.data import classes
from pdm.data.bucket_order import BucketOrder, describe_order
from pdm.data.shards import buckets, manifest
from pdm.data.shards.buckets import has_buckets
from pdm.data.shards.latents import LatentShards
from pdm.device import log_device
from pdm.events import EventLog
from pdm.models.condition import NO_CONDITION, Condition, with_condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape
from pdm.registry import build_denoiser
from pdm.tasks.examples import examples_at
from pdm.tasks.find import check_task, find_task
from pdm.tasks.task import Encode, Task, refuse_to_encode
from pdm.tasks.text import Text, TextFiles, prepare_text
from pdm.text.word_pieces import FILE_NAME as VOCABULARY
from pdm.training import lora
from pdm.training.checkpoints import earlier_runs, finished, snapshots
from pdm.training.checkpoints.plan import TrainingPlan, plan_training
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.distributed.workers import Workers
from pdm.training.dropped_conditions import drop_some
from pdm.training.init_from import Origin, check_source, initialise
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import Batch, move_batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.example_batches import diffusion_batch
from pdm.training.monitoring.flops import flops_of
from pdm.training.monitoring.sample_grid import SampleGrid, check_autoencoder, flow_sampler
from pdm.training.monitoring.sample_scores import (
    BuildReferenceDistance,
    SampleScorer,
    check_split_sizes,
    record_samples,
)
from pdm.training.monitoring.shown import show_task
from pdm.training.monitoring.utilisation import copy_to_meta, flops_per_image
from pdm.training.objectives.losses import FlowLosses
from pdm.training.objectives.timesteps import TimeDistribution

logger = logging.getLogger(__name__)

HELD_OUT_IMAGES = 256  # maximum number scored after each checkpoint
HELD_OUT_BATCH = 16  # of these at once, whatever the number of workers


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
    return runs / _record(config, latents).name


def plan(config: DiffusionConfig, *, latents: Path, runs: Path, model: Path) -> TrainingPlan:
    """What `train_diffusion` would do, and what becomes of the model that is there.

    Raises:
        BadInput: The latents have no manifest.
    """
    manifest.load(latents)
    return plan_training(runs, _record(config, latents), config, model)


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
    found = [LatentShards(latents, split) for split in ("train", "val")]
    check_autoencoder(autoencoder, found[0].manifest.facts)  # fail here rather than on the cluster
    check_task(config, found[0])
    check_split_sizes([split.of_main_size() for split in found], config.score_images)
    if config.init_from:
        check_source(config.init_from, "diffusion")
    if is_first_process():
        earlier_runs.prepare(run, _record(config, latents), config)
    paths = (path.absolute() for path in (latents, run, run / finished.MODEL, autoencoder, Path()))
    settings = Settings(config, build_reference_distance, *paths)
    if is_first_process() and isinstance(config.task, TextTask):
        origin = Path(config.init_from.path) if config.init_from else None
        prepare_text(config.task, found, settings.text_files, origin)
    launch(_work, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.publish(run, config.training, model=model, curves=curves)


def _record(config: DiffusionConfig, latents: Path) -> RunRecord:
    return RunRecord.of("diffusion", config, {"latents": manifest.digest(latents)})


class NoisyLatents:
    """Latents by position in the run, each with its own noise and time. A step has latents of one
    bucket. They are kept by picture, never by step, with its class, captions and map.

    Args:
        shards: Split to train on.
        config: Distribution of the times, the task, and the seed.
        sizes: Sizes of the network's condition.
        encode: Encodes pictures for a task that needs it, on the device of the training.
        task: Makes the conditions; None for a task that has no files.
    """

    def __init__(
        self,
        shards: LatentShards,
        config: DiffusionConfig,
        sizes: ConditionConfig | None = None,
        encode: Encode = refuse_to_encode,
        task: Task | None = None,
    ) -> None:
        self.shards, self.config, self.seed = shards, config, config.training.seed
        facts = shards.manifest.facts if sizes is not None else {}
        self.task = task or find_task(config.drawn_by, facts)
        self.sizes, self.encode = sizes, encode
        self.times, self.total = TimeDistribution.of(config), config.training.total_images
        counts = tuple(map(len, shards.bucket_ranges))
        self.order = BucketOrder(counts, config.training.batch_size, self.seed)

    def load(self, positions: range) -> Batch:
        """Load data, noise and, each (B,): times, their weights, and the share of the training that
        is left; then the condition."""
        data = self.shards.batch(self._indices(positions))
        shapes = [(c, h, w) for _, c, h, w in (level.shape for level in data)]
        noise = normal_pyramid_at(self.seed, positions, "noise", shapes)
        times, weights = self._times(positions)
        left = torch.tensor([max(0.0, 1 - place / self.total) for place in positions])
        return data, noise, times, weights, left, self._condition(positions)

    @torch.no_grad()
    def _condition(self, positions: range) -> Condition:
        """Give the condition of each picture; a share of them, chosen by position, is dropped."""
        if self.sizes is None:
            return NO_CONDITION
        task, indices = self.task, self._indices(positions)
        examples = examples_at(task, self.shards, positions, indices, self.seed)
        condition = task.condition(examples, self.encode)
        return drop_some(condition, task, self.sizes, self.config, positions)

    def keys(self, positions: range) -> list[str]:
        """Return the keys of the pictures."""
        return [self.shards.keys[index] for index in self._indices(positions)]

    def _times(self, positions: range) -> tuple[Tensor, Tensor]:
        """Draw times, and give their weights, which noise on finished levels does not change."""
        draws = [self.times.draw(generator_at(self.seed, place, "time")) for place in positions]
        times = torch.stack(draws)
        weights = self.times.weights(times)
        if self.config.finished_level_noise:
            generators = [generator_at(self.seed, place, "finished") for place in positions]
            times = torch.stack(
                [self.times.disturb(*pair) for pair in zip(times, generators, strict=True)]
            )
        return times, self.times.weigh_predicted_data(weights, times)

    def _indices(self, positions: range) -> list[int]:
        start = self.shards.bucket_ranges[self.order.bucket_at(positions)].start
        found: list[int] = (start + self.order.images_at(positions)).tolist()
        return found


def _work(settings: Settings, workers: Workers) -> None:
    """Train; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    latents, held_out = (LatentShards(settings.latents, split) for split in ("train", "val"))
    torch.manual_seed(training.seed)
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
    model = lora.attach(model, config.lora)

    grid = SampleGrid(settings.autoencoder, latents.manifest.facts, workers.device)
    sizes = model.condition_sizes
    task = find_task(config.drawn_by, latents.manifest.facts, settings.text_files)

    def noisy(shards: LatentShards) -> NoisyLatents:
        return NoisyLatents(shards, config, sizes, grid.encode, task)

    of_main_size = latents.of_main_size(), held_out.of_main_size()

    show = show_task(task, of_main_size[1], grid.encode, guided=True)
    scorer = SampleScorer(
        grid, of_main_size, config.score_images, settings.build_reference_distance(), workers
    )
    sampler = flow_sampler(config.schedule, len(latents.level_shapes))

    def score(state: TrainState, events: EventLog | None) -> float:
        ema = cast(Denoiser, state.ema)
        with autocast(training, workers.device):
            losses = _losses_by_bucket(ema, held_out, noisy, config, workers)
            sheet, distances = scorer.draw(ema, sampler, show)
        if events is not None:
            scores = losses | distances
            record_samples("diffusion", sheet, scores, state.images_seen, events, settings.run)
        return losses["val_loss"]

    losses = FlowLosses(model, config.level_loss_weights)
    share = training.batch_size // (workers.count * training.accumulation)
    flops = flops_per_image(losses, _example_batch(config, model, latents, share))
    state = TrainState(model, training)
    restore_newest(state, checkpoints_of(settings.run, training), workers)
    run = RunFolder(settings.run, "diffusion", training, workers, state.images_seen, score)
    if isinstance(task, Text) and not state.images_seen:
        run.draw(state, run.events)  # the sheet to compare all later ones with
    prepare_blocks(model, training, workers.device)
    network = workers.wrap(losses, training)
    data = noisy(latents)
    if workers.is_first and has_buckets(latents.manifest.facts):
        logger.info(
            "diffusion: %s",
            describe_order(data.order, [bucket.name for bucket in latents.buckets]),
        )
    train(state, network, data, training, run, workers, flops_per_image=flops)
    if workers.is_first:
        write_model(
            config,
            cast(Denoiser, state.ema),
            latents=settings.latents,
            run=settings.run,
            folder=settings.model,
            images_seen=state.images_seen,
            origin=origin,
        )


@torch.no_grad()
def _held_out_losses(
    ema: Denoiser, data: NoisyLatents, config: DiffusionConfig, workers: Workers
) -> dict[str, float]:
    """Compute the losses of the EMA on held-out latents, with the same noise and times every
    time. The workers share them."""
    network = FlowLosses(ema, config.level_loss_weights)
    count = min(len(data.shards), HELD_OUT_IMAGES)

    def measure(start: int) -> list[float]:
        positions = range(start, min(start + HELD_OUT_BATCH, count))
        losses = network(*move_batch(data.load(positions), workers.device))
        means = [losses["loss"].item(), *losses["loss_level"].tolist()]
        return [mean * len(positions) / count for mean in means]

    parts = workers.map(measure, range(0, count, HELD_OUT_BATCH))
    loss, *by_level = (math.fsum(values) for values in zip(*parts, strict=True))
    levels = {f"val_loss_level_{level}": value for level, value in enumerate(by_level)}
    return {"val_loss": loss} | levels


def _losses_by_bucket(
    ema: Denoiser,
    held_out: LatentShards,
    noisy: Callable[[LatentShards], NoisyLatents],
    config: DiffusionConfig,
    workers: Workers,
) -> dict[str, float]:
    """Compute the losses on held-out latents: their mean over all pictures, and, if there are
    several sizes, `val_loss_bucket_512x384` of each."""
    num_buckets = len(held_out.buckets)
    found = [
        _held_out_losses(ema, noisy(held_out.only(place)), config, workers)
        for place in range(num_buckets)
    ]
    if num_buckets == 1:
        return found[0]
    shares = [len(numbers) / len(held_out) for numbers in held_out.bucket_ranges]
    means = {
        name: math.fsum(share * losses[name] for share, losses in zip(shares, found, strict=True))
        for name in found[0]
    }
    return means | {
        f"val_loss_bucket_{bucket.name}": losses["val_loss"]
        for bucket, losses in zip(held_out.buckets, found, strict=True)
    }


def write_model(
    config: DiffusionConfig,
    model: Denoiser,
    *,
    latents: Path,
    run: Path,
    folder: Path,
    images_seen: int,
    origin: Origin,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder: the EMA of a checkpoint.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint; adapters of LoRA are merged.
        latents: Latents that the run trains on.
        run: Folder of the run, with the checkpoint.
        folder: Folder to write, atomically.
        images_seen: Images seen by the checkpoint.
        origin: What the run started from.
        facts: Further entries of `config.json`.
    """
    shards = LatentShards(latents, "train")
    known = shards.manifest.facts
    sizes = model.condition_sizes
    names = shards.classes if sizes is not None and sizes.num_classes else ()
    task = {} if config.task is None else {FACT: task_record(config.task)}
    task |= find_task(config.drawn_by, known).facts()
    with (
        snapshots.for_model(run, config.training.ema_lengths, images_seen) as ema_folder,
        lora.adapter_folder(model, config.lora, run) as adapters,
    ):
        if config.lora is not None:
            model = lora.merge(model, config.lora)
            lora.merge_snapshots(ema_folder, config.lora)
            task[lora.FOLDER] = dataclasses.asdict(config.lora)
        model.save_pretrained(
            folder,
            beside=[origin.pictures, ema_folder, adapters, run / VOCABULARY],
            level_shapes=shards.level_shapes,
            image_height_px=known["image_height_px"],
            image_width_px=known["image_width_px"],
            latents_sha256=manifest.digest(latents),
            shards_sha256=known["shards_sha256"],
            autoencoder_sha256=known["autoencoder_sha256"],
            images_seen=images_seen,
            **origin.facts,
            **({classes.FACT: names} if names else {}),
            **buckets.facts_of_model(shards.manifest),
            **task,
            parameters=sum(weight.numel() for weight in model.parameters()),
            forward_flops=_forward_flops(model, config, shards.level_shapes),
            **(facts or {}),
        )


def _forward_flops(
    model: Denoiser, config: DiffusionConfig, level_shapes: tuple[LevelShape, ...]
) -> int:
    """Count the operations of one evaluation of the network, for one picture, with all levels."""
    sizes = model.condition_sizes
    latents, _, times, _, _, condition = diffusion_batch(config, level_shapes, 1, sizes=sizes)
    # In training all stages run; which others do depends on the times, which have no values here.
    velocity = with_condition(copy_to_meta(model).train(), condition)
    return flops_of(lambda: velocity(latents, times))


def build_for_latents(config: DiffusionConfig, latents: LatentShards) -> Denoiser:
    """Build the network of a config for the levels of these latents, with random weights."""
    channels, facts = tuple(shape[0] for shape in latents.level_shapes), latents.manifest.facts
    return build_denoiser(config, channels, tuple(facts["level_downsamplings"]), facts)


def _example_batch(
    config: DiffusionConfig, model: Denoiser, latents: LatentShards, count: int
) -> Batch:
    return diffusion_batch(config, latents.level_shapes, count, sizes=model.condition_sizes)
