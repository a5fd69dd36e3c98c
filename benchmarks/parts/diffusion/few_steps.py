"""Pictures in four steps of a network that was distilled for them, against forty of its flow.

A small first stage is trained on crops of the built-in landscapes, a flow on its latents, and the
flow is distilled with `diffusion.distil`, each seed anew. The distance is that of drawn pictures
from crops that nothing was trained on, decoded by the same first stage, so that it measures the
flow alone. What the distillation costs is counted in evaluations of the network, a backward pass as
two.
"""

import dataclasses
import statistics
from pathlib import Path

import torch

from benchmarks.designs.crops import Crops, crops
from benchmarks.designs.first_stages import SIDE_PX
from benchmarks.designs.system_designs import (
    JUDGE,
    SYSTEMS,
    first_stage_config,
    flow_config,
    sampling_config,
)
from benchmarks.designs.train_denoiser import (
    distances_of_pairs,
    draw_samples,
    prepare_training,
    reconstruct,
)
from benchmarks.designs.train_first_stage import measured, train_autoencoder
from benchmarks.parts.training.in_memory import ema_of, trained
from benchmarks.shared.ratios import Ratio
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.training.distil import DistilConfig
from pdm.config.training.loop import TrainingConfig
from pdm.data.shards.latents import LatentShards
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.inference.sampling_networks import Networks
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.training.distillation.student import build_losses
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.loop.state import TrainState

SYSTEM = SYSTEMS["pdm"]
STEPS = 40  # of the flow
CPU = torch.device("cpu")
DISTANCES = (f"kernel_{JUDGE.replace('-', '_')}", "frechet_random_conv")


@dataclasses.dataclass(frozen=True)
class Size:
    seeds: tuple[int, ...]
    num_crops: int
    first_stage_images: int
    flow_images: int
    samples: int
    distil: DistilConfig


FULL = Size(
    (0, 1, 2),
    4000,
    6400,
    12_800,
    512,
    DistilConfig(
        steps=4,
        teacher_steps=8,
        total_images=384,
        batch_size=8,
        learning_rate=2e-4,
        ema_half_life_images=40,
    ),
)
QUICK = dataclasses.replace(
    FULL,
    seeds=(0,),
    num_crops=64,
    first_stage_images=16,
    flow_images=64,
    samples=16,
    distil=dataclasses.replace(FULL.distil, total_images=16),
)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Distances in four steps over those in forty."""
    [data] = crops((), 40, SIDE_PX, size.num_crops, size.samples, size.samples).values()
    found = [_distances(size, seed, data, folder) for seed in size.seeds]
    lines = []
    for key, side in (
        ("four_step_distance", "distilled"),
        ("four_step_distance_of_flow", "flow, 4"),
    ):
        for name in DISTANCES:
            ours, peer = ([one[each][name] for one in found] for each in (side, "flow, 40"))
            values = tuple(a / b for a, b in zip(ours, peer, strict=True))
            goal = "at most 1.2" if side == "distilled" and name == DISTANCES[0] else ""
            suffix = "" if name == DISTANCES[0] else f"_{name}"
            question = f"{name} of {side} steps, over the flow's in {STEPS} steps (less is better)"
            medians = statistics.median(ours), statistics.median(peer)
            lines.append(
                Ratio(f"{key}{suffix}", question, *medians, "", values, goal, _note(size, found))
            )
    share = cost(size.distil) / (3 * size.flow_images)
    question = "evaluations of the network in distillation, over those in training the flow"
    lines.append(
        Ratio(
            "distil_cost",
            question,
            cost(size.distil),
            3 * size.flow_images,
            "evaluations",
            (share,),
            "at most 0.2",
        )
    )
    return lines


def cost(distil: DistilConfig) -> int:
    """Evaluations of the network, a backward pass as two."""
    return distil.total_images * (distil.teacher_steps + 3 * distil.steps)


def _distances(size: Size, seed: int, data: Crops, folder: Path) -> dict[str, dict[str, float]]:
    first_stage = train_first_stage(size, seed, data)
    flow, latents, config = train_flow(size, seed, first_stage, data)
    student, stops = distil(dataclasses.replace(config, distil=size.distil), flow, latents)
    sampling = dataclasses.replace(sampling_config(SYSTEM, guided=False), steps=STEPS)
    four = dataclasses.replace(sampling, steps=size.distil.steps)
    plain = Networks(bake_spectral_norms(flow))
    sets = {
        "flow, 40": draw_samples(plain, first_stage, sampling, size.samples),
        "flow, 4": draw_samples(plain, first_stage, four, size.samples),
        "distilled": draw_samples(Networks(student, stops=stops), first_stage, four, size.samples),
        "train": reconstruct(first_stage, data.train[: size.samples]),
        "unseen": reconstruct(first_stage, data.unseen),
    }
    pairs = {name: (name, "unseen") for name in sets if name != "unseen"}
    return distances_of_pairs(sets, pairs, folder / f"real-{seed}", [PackagedFeatures(JUDGE)])


def train_first_stage(size: Size, seed: int, data: Crops) -> Autoencoder:
    config = first_stage_config(SYSTEM, seed)
    training = _of_length(config.training, size.first_stage_images)
    model, _, _ = train_autoencoder(
        dataclasses.replace(config, training=training), data.train, None
    )
    return measured(model, data)


def train_flow(
    size: Size, seed: int, first_stage: Autoencoder, data: Crops
) -> tuple[Denoiser, LatentShards, DiffusionConfig]:
    """The EMA, in evaluation mode; the latents that it was trained on; the settings."""
    config = flow_config(SYSTEM, seed)
    config = dataclasses.replace(config, training=_of_length(config.training, size.flow_images))
    state, losses, latents = prepare_training(config, first_stage, data.train)
    trained(state, losses, latents, config.training, None)
    return ema_of(state), latents.shards, config


def distil(
    config: DiffusionConfig, flow: Denoiser, latents: LatentShards
) -> tuple[Denoiser, torch.Tensor]:
    """The student, for inference, and its stops. The flow can be trained no further."""
    assert config.distil is not None
    training = config.distil.training(config.training)
    config = dataclasses.replace(config, training=training)
    losses = build_losses(config, flow, CPU)
    state = TrainState(losses.model, training)
    starts = TrajectoryStarts(latents, config, "trajectories", training.batch_size)
    trained(state, losses, starts, training, None)
    return bake_spectral_norms(ema_of(state)), losses.stops


def _of_length(training: TrainingConfig, total_images: int) -> TrainingConfig:
    return dataclasses.replace(
        training,
        total_images=total_images,
        log_every_images=total_images,
        save_every_images=total_images,
    )


def _note(size: Size, found: list[dict[str, dict[str, float]]]) -> str:
    floors = ", ".join(f"{one['train'][DISTANCES[0]]:.3g}" for one in found)
    return (
        f"Seeds {', '.join(map(str, size.seeds))}; {size.first_stage_images:,} crops for the first "
        f"stage and {size.flow_images:,} for the flow; {size.samples} samples. Of equally many "
        f"training crops, {DISTANCES[0]} is {floors}."
    )
