"""Second part of the stage `diffusion`, with the setting `distil`: tunes a finished flow to sample
in few steps.

The tuned network is a folder within the flow's model, `few-steps`, with the stops of its steps in
`config.json`. The flow stays as it is. Runs are in the folder of the flow's run, so that they are
removed together.
"""

import dataclasses
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pdm import weights
from pdm.config.condition import ConditionConfig
from pdm.config.diffusion import DiffusionConfig
from pdm.config.task import FACT, TextTask
from pdm.config.unet import UNetConfig
from pdm.data.maps import FACT as MAP_CLASSES
from pdm.data.shards import listing, manifest
from pdm.data.shards.buckets import has_buckets
from pdm.data.shards.latents import LatentShards
from pdm.device import log_device
from pdm.diffusion.few_steps import take_few_steps
from pdm.diffusion.level_schedules import min_steps, sampler_stops
from pdm.errors import BadInput
from pdm.events import EventLog
from pdm.files import atomic_folder, sha256_of
from pdm.models.condition import NO_CONDITION
from pdm.models.denoiser import Denoiser
from pdm.models.spectral_norm import bake_spectral_norms
from pdm.registry import build_denoiser, load_denoiser
from pdm.tasks.examples import examples_of_seeds
from pdm.tasks.find import find_task
from pdm.tasks.task import Encode, Task, refuse_to_encode
from pdm.tasks.text import TextFiles, prepare_states
from pdm.training import diffusion
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.plan import RESTORE, TrainingPlan, plan_training
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.distributed.workers import Workers
from pdm.training.dropped_conditions import drop_some
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import Batch, move_batch
from pdm.training.loop.seeds import normal_pyramid_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.few_steps_card import few_steps_card
from pdm.training.monitoring.sample_grid import SampleGrid
from pdm.training.monitoring.sample_scores import (
    BuildReferenceDistance,
    SampleScorer,
    record_samples,
)
from pdm.training.monitoring.shown import show_task
from pdm.training.objectives.distillation import DistillationLosses
from pdm.weights import FEW_STEPS

NAME = "diffusion, few steps"  # in the log
HELD_OUT_WAYS, HELD_OUT_BATCH = 32, 8  # scored after each checkpoint; at once


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`.

    Args:
        config: With the settings of the tuning in place of `training`.
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


def flow_folder(flow_run: Path, model: Path) -> Path:
    """Return a folder of the finished flow: that of its run, or the stage's output if the run no
    longer keeps it."""
    kept = flow_run / finished.MODEL
    return kept if (kept / finished.WEIGHTS).is_file() else model


def run_folder(config: DiffusionConfig, *, latents: Path, flow_run: Path, flow: Path) -> Path:
    """Return the folder of the run that tunes this flow with these settings.

    Args:
        flow_run: Folder of the flow's run.
        flow: From `flow_folder`.
    """
    return flow_run / FEW_STEPS / _record(config, latents, flow).name


def plan(config: DiffusionConfig, *, latents: Path, runs: Path, model: Path) -> TrainingPlan:
    """What the stage would do: train the flow or, if that has finished, tune it, if asked for.

    Raises:
        BadInput: The latents have no manifest.
    """
    flow = dataclasses.replace(config, distil=None)
    found = diffusion.plan(flow, latents=latents, runs=runs, model=model)
    if config.distil is None or found.action != RESTORE:
        return found
    flow_run = diffusion.run_folder(flow, latents=latents, runs=runs)
    record = _record(config, latents, flow_run / finished.MODEL)
    tuning = plan_training(flow_run / FEW_STEPS, record, _tuning(config), model)
    # No flow is lost: its run stays, and keeps it.
    return dataclasses.replace(tuning, stage=NAME, copy=found.copy, copy_stays=True)


def distil_flow(
    config: DiffusionConfig,
    *,
    latents: Path,
    autoencoder: Path,
    flow: Path,
    run: Path,
    model: Path,
    build_reference_distance: BuildReferenceDistance,
    launch: Launch = launch_on_ray,
) -> None:
    """Tune, or resume tuning, a finished flow, and write its model with the tuned network in it.

    Args:
        config: Section `diffusion` of the params, with `distil`.
        latents: That the flow was trained on.
        autoencoder: Folder of the model that wrote the latents; it decodes the samples drawn
            meanwhile.
        flow: From `flow_folder`.
        run: Folder from `run_folder`.
        model: Folder to write, which may be that of the flow.
        build_reference_distance: Builds the distance from held-out pictures to score samples by.
        launch: Starts the workers.

    Raises:
        BadInput: `distil.teacher_steps` are too few for the levels' own times, or the frozen
            encoder of a task of text is not there.
        QualityGate, Unavailable, Preempted: As for `train_diffusion`.
    """
    splits = [LatentShards(latents, split) for split in ("train", "val")]
    if has_buckets(splits[0].manifest.facts):
        raise BadInput(
            f"{latents} has pictures of several sizes, and tuning for few steps knows one only; "
            "sample the model with more steps, or train on one size (curate.buckets: null)"
        )
    _check_steps(config, splits[0])
    if is_first_process():
        earlier_runs.prepare(run, _record(config, latents, flow), config)
    folders = (latents, run, run / finished.MODEL, flow, autoencoder, Path())
    paths = (path.absolute() for path in folders)
    settings = Settings(_tuning(config), build_reference_distance, *paths)
    if is_first_process() and isinstance(config.task, TextTask):
        # Prompts may have changed since the flow was trained, and the cache may be gone.
        prepare_states(config.task, splits, settings.text_files)
    launch(_work, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.finish(run, settings.config.training.total_images)
        finished.export(run, model)
        finished.prune(run.parent, config.training.keep_runs)


def _record(config: DiffusionConfig, latents: Path, flow: Path) -> RunRecord:
    digests = {"latents": manifest.digest(latents), "flow": sha256_of(flow / finished.WEIGHTS)}
    return RunRecord.of("diffusion", config, digests)


def _tuning(config: DiffusionConfig) -> DiffusionConfig:
    """The section with the settings of the tuning in place of those of the flow's training."""
    assert config.distil is not None
    return dataclasses.replace(config, training=config.distil.training(config.training))


def _check_steps(config: DiffusionConfig, latents: LatentShards) -> None:
    assert config.distil is not None
    least = min_steps(config.schedule, len(latents.level_shapes))
    if config.distil.teacher_steps < least:
        raise BadInput(
            f"diffusion.distil.teacher_steps is {config.distil.teacher_steps}, but the own times "
            f"of these levels need at least {least}"
        )


class Ways:
    """Noise by position, where the teacher's ways begin, and a condition for each.

    Args:
        latents: For shapes, number of classes and pictures.
        config: With the settings of the tuning.
        purpose: Of the noise; another purpose gives other noise.
        sizes: Sizes of the network's condition.
        encode: Encodes pictures for a task that needs it.
        task: Makes the conditions; None for a task that has no files.
    """

    def __init__(
        self,
        latents: LatentShards,
        config: DiffusionConfig,
        purpose: str,
        sizes: ConditionConfig | None = None,
        encode: Encode = refuse_to_encode,
        task: Task | None = None,
    ) -> None:
        self.latents, self.config, self.purpose = latents, config, purpose
        facts = latents.manifest.facts if sizes is not None else {}
        self.task = task or find_task(config.drawn_by, facts)
        self.sizes, self.encode = sizes, encode

    @torch.no_grad()
    def load(self, positions: range) -> Batch:
        """Load noise, and the condition: all classes or pictures in turn, and for a share of the
        ways none."""
        seed, shapes = self.config.training.seed, self.latents.level_shapes
        noise = normal_pyramid_at(seed, positions, self.purpose, shapes)
        if self.sizes is None:
            return noise, NO_CONDITION
        examples = examples_of_seeds(self.task, self.latents, positions)
        condition = self.task.condition(examples, self.encode)
        return noise, drop_some(condition, self.task, self.sizes, self.config, positions)

    def keys(self, positions: range) -> list[str]:
        """Name the noise."""
        return [f"noise {position}" for position in positions]


def build_losses(
    config: DiffusionConfig,
    teacher: Denoiser,
    device: torch.device,
    facts: Mapping[str, Any] | None = None,
) -> DistillationLosses:
    """Build the student, which starts with its teacher's weights, and its losses.

    The student has no dropout: its targets have no noise that it could learn by heart.

    Args:
        config: With `distil`.
        teacher: The flow, as it was trained; it is changed, see `bake_spectral_norms`.
        device: To put both on.
        facts: Those of the latents' manifest, which the sizes of a condition may follow from.
    """
    assert config.distil is not None
    channels = tuple(teacher.facts["level_channels"])
    downsamplings = tuple(teacher.facts["level_downsamplings"])
    plain = _without_dropout(config, teacher.condition_sizes)
    model = build_denoiser(plain, channels, downsamplings, facts)
    model.load_state_dict(teacher.state_dict())
    for network in (model, teacher):
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = bake_spectral_norms(teacher).requires_grad_(False).eval()
    stops = sampler_stops(config.distil.teacher_steps, 1.0, config.schedule, len(channels))
    return DistillationLosses(model, teacher, stops, config.distil.steps, config.level_loss_weights)


def _without_dropout(config: DiffusionConfig, sizes: ConditionConfig | None) -> DiffusionConfig:
    if not isinstance(config.network, UNetConfig):
        return config
    none = (0.0,) * len(config.network.dropout)
    network = dataclasses.replace(config.network, dropout=none, condition=sizes)
    return dataclasses.replace(config, model=network)


def _work(settings: Settings, workers: Workers) -> None:
    """Tune; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    latents, held_out = (LatentShards(settings.latents, split) for split in ("train", "val"))
    torch.manual_seed(training.seed)
    facts = latents.manifest.facts
    losses = build_losses(config, load_denoiser(settings.flow), workers.device, facts)
    grid = SampleGrid(settings.autoencoder, facts, workers.device)
    distance = settings.build_reference_distance()
    scorer = SampleScorer(grid, (latents, held_out), config.score_images, distance, workers)

    sizes = losses.model.condition_sizes
    task = find_task(config.drawn_by, facts, settings.text_files)

    def ways(purpose: str) -> Ways:
        return Ways(latents, config, purpose, sizes, grid.encode, task)

    show = show_task(task, held_out, grid.encode, guided=False)

    def score(state: TrainState, events: EventLog | None) -> float:
        ema = cast(Denoiser, state.ema)
        with autocast(training, workers.device):
            loss = _held_out_loss(ema, losses, ways("held-out ways"), workers)
            sheet, distances = scorer.draw(
                ema,
                lambda velocity, noise: take_few_steps(velocity, noise, losses.stops),
                show,
            )
        if events is not None:
            scores = {"val_loss": loss} | distances
            record_samples(NAME, sheet, scores, state.images_seen, events, settings.run)
        return loss

    state = TrainState(losses.model, training)
    restore_newest(state, checkpoints_of(settings.run, training), workers)
    run = RunFolder(settings.run, NAME, training, workers, state.images_seen, score)
    prepare_blocks(losses.model, training, workers.device)
    network = workers.wrap(losses, training)
    train(state, network, ways("ways"), training, run, workers)
    if workers.is_first:
        write_model(settings, cast(Denoiser, state.ema), losses.stops, state.images_seen)


@torch.no_grad()
def _held_out_loss(
    ema: Denoiser, losses: DistillationLosses, ways: Ways, workers: Workers
) -> float:
    """Compute the loss of the EMA on ways that are not trained on; the workers share them."""
    network = losses.of_network(ema)

    def measure(start: int) -> float:
        batch = ways.load(range(start, start + HELD_OUT_BATCH))
        return float(network(*move_batch(batch, workers.device))["loss"])

    parts = workers.map(measure, range(0, HELD_OUT_WAYS, HELD_OUT_BATCH))
    return math.fsum(parts) / len(parts)


def write_model(settings: Settings, student: Denoiser, stops: Tensor, images_seen: int) -> None:
    """Write the folder of the flow again, atomically, with the tuned network in it."""
    flow, distil = weights.record_of(settings.flow), settings.config.distil
    assert distil is not None
    teacher = sha256_of(settings.flow / finished.WEIGHTS)
    facts = {
        name: flow[name]
        for name in (
            *("level_shapes", "image_height_px", "image_width_px", "latents_sha256"),
            *("shards_sha256", "autoencoder_sha256", "parameters", "forward_flops"),
            *("classes", MAP_CLASSES, FACT),
        )
        if name in flow
    }
    with atomic_folder(settings.model) as folder:
        shutil.copytree(settings.flow, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / FEW_STEPS, ignore_errors=True)
        student.save_pretrained(
            folder / FEW_STEPS,
            beside=[settings.flow / listing.FILE_NAME],
            card=few_steps_card(distil, teacher, flow, images_seen),
            **facts,
            images_seen=images_seen,
            stops=stops.tolist(),
            distilled_from={"sha256": teacher, "images_seen": flow["images_seen"]},
        )
