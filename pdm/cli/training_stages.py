"""The commands of the two stages that train: `pyramid autoencoder` and `pyramid diffusion`.

Each says what it would do (`--dry-run`), gives out the model of a run that has finished, or trains,
which is tracked. Heavy imports are inside the functions, after the params: see `stages`.
"""

import argparse
import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdm import params

if TYPE_CHECKING:
    from pdm.config import Params
    from pdm.config.stages.diffusion import DiffusionConfig
    from pdm.training.checkpoints.plan import TrainingPlan
    from pdm.training.monitoring.cost.footprint import Footprint

logger = logging.getLogger(__name__)


@contextmanager
def _track_training(
    stage: str, config: Any, folder: Path, data: Path, model: Path
) -> Iterator[None]:
    """Track the run of a training stage; under `torchrun`, only in the first process."""
    from pdm.tracking.track import track
    from pdm.training.distributed.launchers import is_first_process

    if not is_first_process():
        yield
        return
    with track(stage, config, events=folder / "events.jsonl", data=data) as tracked:
        yield
        tracked.log_model(model)


def _end_tracking(stage: str, config: Any, folder: Path, data: Path, model: Path) -> None:
    """End the tracked run of a finished training, if a kill came between the two ends."""
    from pdm.tracking.records.open_run import is_open

    if is_open(stage, folder):
        with _track_training(stage, config, folder, data, model):
            pass


def _print_plan(
    form: str,
    plan: "Callable[[], TrainingPlan]",
    predict: "Callable[[], list[Footprint]]",
    data: Path,
) -> None:
    """Print what a training would do and take, and a distillation after it, if any; as text also
    before there is data to train on."""
    if form == "json":  # read by the flows before every stage, so it must be quick
        print(json.dumps(plan().as_json()))
    elif form == "costs":
        training, *distillation = [one.as_json() for one in predict()]
        after = {"distillation": distillation[0]} if distillation else {}
        print(json.dumps(plan().as_json() | training | after))
    else:
        print(plan() if _is_there(data) else f"{data} does not exist yet", flush=True)
        print("\nthen the distillation:\n".join(map(str, predict())))


def _is_there(data: Path) -> bool:
    from pdm.data.shards import manifest

    return (data / manifest.FILE_NAME).exists()


def autoencoder(args: argparse.Namespace) -> None:
    """Train the pyramid autoencoder on the shards."""
    config = params.load(args.params).autoencoder
    from pdm.training.autoencoder import check_inputs, plan, run_folder, train_autoencoder
    from pdm.training.checkpoints.finished import export_instead_of_training
    from pdm.training.distributed.launchers import choose_launcher
    from pdm.training.monitoring.cost.footprint import autoencoder_footprint

    if args.dry_run:
        found = partial(plan, config, shards=args.shards, runs=args.runs, model=args.model)
        _print_plan(args.dry_run, found, lambda: [autoencoder_footprint(config)], args.shards)
        return
    folder = run_folder(config, shards=args.shards, runs=args.runs)
    outputs = {"model": args.model, "curves": args.curves}
    if export_instead_of_training("autoencoder", folder, **outputs):
        _end_tracking("autoencoder", config, folder, args.shards, args.model)
        return
    check_inputs(config, shards=args.shards)  # before tracking, or it would leave a failed run
    with _track_training("autoencoder", config, folder, args.shards, args.model):
        train_autoencoder(
            config,
            shards=args.shards,
            run=folder,
            **outputs,
            launch=choose_launcher(args.launcher),
        )


def diffusion(args: argparse.Namespace) -> None:
    """Train the pyramid UNet on the latents with rectified flow, and distil it for few steps."""
    whole = params.load(args.params)
    config = whole.diffusion
    from pdm.training.checkpoints.finished import export_instead_of_training
    from pdm.training.diffusion import run_folder
    from pdm.training.distillation import plan
    from pdm.training.distributed.launchers import is_under_torchrun

    if args.dry_run:
        found = partial(plan, config, latents=args.latents, runs=args.runs, model=args.model)
        _print_plan(args.dry_run, found, lambda: _predict_diffusion(whole, args), args.latents)
        return
    flow = dataclasses.replace(config, distil=None)
    folder = run_folder(flow, latents=args.latents, runs=args.runs)
    outputs = {"model": args.model, "curves": args.curves}
    exported = export_instead_of_training("diffusion", folder, **outputs)
    if exported:
        _end_tracking("diffusion", flow, folder, args.latents, args.model)
    else:
        _train_flow(flow, folder, args)
    if config.distil is None:
        return
    if is_under_torchrun() and not exported:
        logger.warning("diffusion: run the same command again to distil the flow")
        return
    _distil(config, folder, args)


def _predict_diffusion(config: "Params", args: argparse.Namespace) -> "list[Footprint]":
    """The flow's training and, if there is any, its distillation; from the latents, or from the
    params alone if there are none yet.

    Raises:
        BadInput: There are none, and the task takes its classes from them.
    """
    from pdm.config.task import ClassTask, LayoutTask, SemanticTask
    from pdm.errors import BadInput
    from pdm.registry import level_shapes_of
    from pdm.training.distillation.footprint import distillation_footprint
    from pdm.training.monitoring.cost.footprint import diffusion_footprint, levels_of_latents

    section, task = config.diffusion, config.diffusion.effective_task
    if _is_there(args.latents):
        shapes, downsamplings, facts = levels_of_latents(args.latents)
    elif isinstance(task, ClassTask | LayoutTask | SemanticTask):
        raise BadInput(
            f"diffusion.task {task.kind} takes its classes from the data, and {args.latents} "
            "does not exist yet; run the stages up to 'latents' first"
        )
    else:
        (shapes, downsamplings), facts = level_shapes_of(config.autoencoder), None
    found = [diffusion_footprint(section, shapes, downsamplings, facts=facts)]
    if section.distil is not None:
        found.append(distillation_footprint(section, shapes, downsamplings, facts))
    return found


def _train_flow(config: "DiffusionConfig", folder: Path, args: argparse.Namespace) -> None:
    from pdm.evaluation.reference_distance import ReferenceDistance
    from pdm.training.diffusion import check_inputs, train_diffusion
    from pdm.training.distributed.launchers import choose_launcher

    # Before tracking, or it would leave a failed run.
    check_inputs(config, latents=args.latents, autoencoder=args.autoencoder)
    with _track_training("diffusion", config, folder, args.latents, args.model):
        train_diffusion(
            config,
            latents=args.latents,
            autoencoder=args.autoencoder,
            run=folder,
            model=args.model,
            curves=args.curves,
            build_reference_distance=ReferenceDistance,
            launch=choose_launcher(args.launcher),
        )


def _distil(config: "DiffusionConfig", flow_run: Path, args: argparse.Namespace) -> None:
    """Distil the finished flow, unless the run of that has finished, too."""
    from pdm.evaluation.reference_distance import ReferenceDistance
    from pdm.training.checkpoints.finished import export
    from pdm.training.distillation import distil_flow, flow_folder, run_folder
    from pdm.training.distributed.launchers import choose_launcher
    from pdm.weights import FEW_STEPS

    flow = flow_folder(flow_run, args.model)
    folder = run_folder(config, latents=args.latents, flow_run=flow_run, flow=flow)
    tracked = "diffusion", config, folder, args.latents, args.model / FEW_STEPS
    if export(folder, args.model):
        _end_tracking(*tracked)
        return
    with _track_training(*tracked):
        distil_flow(
            config,
            latents=args.latents,
            autoencoder=args.autoencoder,
            flow=flow,
            run=folder,
            model=args.model,
            build_reference_distance=ReferenceDistance,
            launch=choose_launcher(args.launcher),
        )
