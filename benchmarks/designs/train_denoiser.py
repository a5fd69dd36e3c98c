"""Trains one diffusion model on wavelets of crops, samples from it and scores the samples."""

import dataclasses
import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.designs import crops as kept_crops
from benchmarks.designs.crops import Crops
from benchmarks.designs.denoisers import DESIGNS, config_of, sampling_of
from benchmarks.designs.first_stages import SIDE_PX
from benchmarks.designs.wavelets import Wavelets
from benchmarks.parts.training.in_memory import LatentsInMemory, ema_of, trained
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.networks import count_parameters, to_channels_last
from pdm import params
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.sample import SampleConfig
from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.evaluation.distances.set_pairs import SetPair, compute_distances
from pdm.evaluation.features.feature_spaces import feature_spaces
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.features.summary_cache import cached_summary
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.sampling_networks import Networks
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.models.levels.pyramid import Pyramid
from pdm.registry import build_denoiser
from pdm.training.latent_dataset import LatentDataset
from pdm.training.loop.state import TrainState
from pdm.training.objectives.losses import FlowLosses

FirstStage = Autoencoder | Wavelets
BATCH = 64
FIRST_SAMPLE_SEED = 10_000

PAIRS = {
    "samples": ("samples", "unseen"),
    "floor": ("train", "unseen"),
    "samples, held out": ("samples", "held_out"),
    "floor, held out": ("train", "held_out"),
    "samples, untouched": ("samples", "untouched"),
    "floor, untouched": ("train", "untouched"),
}


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    crops = kept_crops.load(Path(job["crops"]))[job["source"]]
    design = DESIGNS[job["design"]]
    wavelets = Wavelets(pyramid=design.predicts is None)
    wavelets.measure(to_images(crops.train), by_channel=design.scale == "channel")
    config = config_of(job["design"], job["seed"], job["learning_rate"], job["images"])
    network, images_seen = train_network(config, wavelets, crops.train, job["seconds"])
    num_samples = len(crops.unseen)
    sampling = sampling_of(job["design"])
    samples = draw_samples(Networks(network), wavelets, sampling, num_samples)
    if job["samples"]:
        np.save(job["samples"], samples)
    named = ("design", "source", "seed", "seconds", "images", "learning_rate")
    found = {
        **{name: job[name] for name in named},
        "images_seen": images_seen,
        "parameters": count_parameters(network),
        "latent_values": sum(c * h * w for c, h, w in wavelets.level_shapes(SIDE_PX, SIDE_PX)),
        "samples": num_samples,
        "distances": score(samples, crops, wavelets, Path(job["cache"])),
    }
    print(json.dumps(found))


def score(
    samples: Pixels, crops: Crops, wavelets: Wavelets, cache: Path
) -> dict[str, dict[str, float]]:
    """Distances of the evaluate stage, by the name of the pair in PAIRS.

    Real crops pass through the first stage, which all designs share, unless they are `untouched`.
    `unseen` crops were not trained on but come from pictures that were; `held_out` crops come from
    other pictures. A floor is the score of as many crops of the training set.
    """
    train = crops.train[: len(crops.unseen)]
    sets = {
        "samples": samples,
        "train": reconstruct(wavelets, train),
        "unseen": reconstruct(wavelets, crops.unseen),
        "held_out": reconstruct(wavelets, crops.held_out),
        "untouched": crops.unseen,
    }
    return distances_of_pairs(sets, PAIRS, cache)


def distances_of_pairs(
    sets: dict[str, Pixels],
    pairs: dict[str, tuple[str, str]],
    cache: Path,
    networks: Sequence[PackagedFeatures] = (),
) -> dict[str, dict[str, float]]:
    """All distances of the evaluate stage, of each pair (judged set, reference)."""
    known = {name: _summary(name, pixels, cache, networks) for name, pixels in sets.items()}
    config = params.load(ROOT / "params.yaml").evaluate
    return {
        name: compute_distances(SetPair(known[judged], known[reference]), config)
        for name, (judged, reference) in pairs.items()
    }


@torch.no_grad()
def reconstruct(first_stage: FirstStage, pixels: Pixels) -> Pixels:
    """Encode and decode pictures with the first stage."""
    parts = []
    for start in range(0, len(pixels), BATCH):
        images = to_images(pixels[start : start + BATCH])
        parts.append(to_pixels(first_stage.decode(first_stage.encode(images))))
    return np.concatenate(parts)


@torch.no_grad()
def draw_samples(
    networks: Networks, first_stage: FirstStage, config: SampleConfig, count: int
) -> Pixels:
    """Samples of consecutive seeds."""
    seeds = range(FIRST_SAMPLE_SEED, FIRST_SAMPLE_SEED + count)
    shapes = first_stage.level_shapes(SIDE_PX, SIDE_PX)
    pictures = []
    for start in range(0, count, BATCH):
        latents = draw_latents(networks, config, seeds[start : start + BATCH], shapes)
        pictures.append(to_pixels(first_stage.decode(latents)))
    return np.concatenate(pictures)


def train_network(
    config: DiffusionConfig, first_stage: FirstStage, pixels: Pixels, seconds: float | None
) -> tuple[Denoiser, int]:
    """Train for processor seconds, or as many images as the config says if there are none.

    Returns:
        The EMA, in evaluation mode, and the number of images seen.
    """
    state, losses, data = prepare_training(config, first_stage, pixels)
    trained(state, losses, data, config.training, seconds)
    return bake_spectral_norms(ema_of(state)), state.images_seen


def prepare_training(
    config: DiffusionConfig, first_stage: FirstStage, pixels: Pixels
) -> tuple[TrainState, FlowLosses, LatentDataset]:
    """A training at its start: random weights, losses, and the latents of the crops."""
    images = to_images(pixels)
    both = torch.cat([images, images.flip(3)])  # mirrored copies, as the stage `latents` makes
    latents = LatentsInMemory(encode(first_stage, both))
    torch.manual_seed(config.training.seed)
    channels, downsamplings = first_stage.level_channels, first_stage.level_downsamplings
    network = to_channels_last(build_denoiser(config, channels, downsamplings))
    losses = FlowLosses(network, config.level_loss_weights)
    data = LatentDataset(latents, config)
    return TrainState(network, config.training), losses, data


@torch.no_grad()
def encode(first_stage: FirstStage, images: Tensor) -> Pyramid:
    """Encode many images (N, 3, H, W), some at a time."""
    parts = [
        first_stage.encode(images[start : start + BATCH]) for start in range(0, len(images), BATCH)
    ]
    return tuple(torch.cat(level) for level in zip(*parts, strict=True))


def _summary(
    name: str, pixels: Pixels, cache: Path, networks: Sequence[PackagedFeatures]
) -> Summary:
    config = dataclasses.replace(params.load(ROOT / "params.yaml").evaluate, crops_per_image=2)
    extractor = RandomConvFeatures(config.num_features, config.seed)
    return cached_summary(
        PictureSet(
            name=name, keys=[str(number) for number in range(len(pixels))], load=pixels.__getitem__
        ),
        np.arange(len(pixels)),
        extractor,
        feature_spaces(config, (SIDE_PX, SIDE_PX), extractor, list(networks)),
        config,
        hashlib.sha256(pixels.tobytes()).hexdigest(),
        cache,
    )


if __name__ == "__main__":
    main()
