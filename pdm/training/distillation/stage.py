"""Plans the distillation of a finished flow, starts it, and publishes the model."""

import dataclasses
from pathlib import Path

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.task import TextTask
from pdm.data.shards import manifest
from pdm.data.shards.latents import LatentShards
from pdm.diffusion.level_schedules import min_steps
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.tasks.text import prepare_states
from pdm.training import diffusion
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.plan import RESTORE, TrainingPlan, plan_training
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distillation.settings import NAME, Settings
from pdm.training.distillation.worker import train_on_worker
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.monitoring.samples.scores import BuildReferenceDistance
from pdm.weights import FEW_STEPS


def flow_folder(flow_run: Path, model: Path) -> Path:
    """Return a folder of the finished flow: that of its run, or the stage's output if the run no
    longer keeps it."""
    kept = flow_run / finished.MODEL
    return kept if (kept / finished.WEIGHTS).is_file() else model


def run_folder(config: DiffusionConfig, *, latents: Path, flow_run: Path, flow: Path) -> Path:
    """Return the folder of the run that distils this flow with these settings.

    Args:
        flow_run: Folder of the flow's run.
        flow: From `flow_folder`.
    """
    return flow_run / FEW_STEPS / _record(config, latents, flow).name


def plan(config: DiffusionConfig, *, latents: Path, runs: Path, model: Path) -> TrainingPlan:
    """What the stage would do: train the flow or, if that has finished, distil it, if asked for.

    Raises:
        BadInput: The latents have no manifest.
    """
    flow = dataclasses.replace(config, distil=None)
    found = diffusion.plan(flow, latents=latents, runs=runs, model=model)
    if config.distil is None or found.action != RESTORE:
        return found
    flow_run = diffusion.run_folder(flow, latents=latents, runs=runs)
    record = _record(config, latents, flow_run / finished.MODEL)
    distillation = plan_training(flow_run / FEW_STEPS, record, distillation_config(config), model)
    # No flow is lost: its run stays, and keeps it.
    return dataclasses.replace(distillation, stage=NAME, copy=found.copy, copy_stays=True)


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
    """Distil a finished flow, or resume its distillation, and write its model with the student.

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
        BadInput: `distil.teacher_steps` are too few for the per-level times, or the frozen
            encoder of a task of text is not there.
        QualityGate, Unavailable, Preempted: As for `train_diffusion`.
    """
    splits = [LatentShards(latents, split) for split in ("train", "val")]
    _check_steps(config, splits[0])
    if is_first_process():
        earlier_runs.prepare(run, _record(config, latents, flow), config)
    folders = (latents, run, run / finished.MODEL, flow, autoencoder, Path())
    paths = (path.absolute() for path in folders)
    settings = Settings(distillation_config(config), build_reference_distance, *paths)
    if is_first_process() and isinstance(config.task, TextTask):
        # Prompts may have changed since the flow was trained, and the cache may be gone.
        prepare_states(config.task, splits, settings.text_files)
    launch(train_on_worker, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.finish(run, settings.config.training)
        finished.export(run, model)
        finished.prune(run.parent, config.training.keep_runs)


def _record(config: DiffusionConfig, latents: Path, flow: Path) -> RunRecord:
    digests = {"latents": manifest.digest(latents), "flow": sha256_of(flow / finished.WEIGHTS)}
    return RunRecord.of("diffusion", config, digests)


def distillation_config(config: DiffusionConfig) -> DiffusionConfig:
    """The section with the distillation's settings in place of those of the flow's training."""
    assert config.distil is not None
    return dataclasses.replace(config, training=config.distil.training(config.training))


def _check_steps(config: DiffusionConfig, latents: LatentShards) -> None:
    assert config.distil is not None
    least = min_steps(config.schedule, len(latents.level_shapes))
    if config.distil.teacher_steps < least:
        raise BadInput(
            f"diffusion.distil.teacher_steps is {config.distil.teacher_steps}, but this model's "
            f"per-level times need at least {least}"
        )
