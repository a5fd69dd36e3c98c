"""Trains one diffusion model on wavelets of crops, samples from it and scores the samples."""

import dataclasses
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import ROOT
from benchmarks.designs import crops as kept_crops
from benchmarks.designs.crops import Crops
from benchmarks.designs.denoisers import DESIGNS, config_of, sampling_of
from benchmarks.designs.first_stages import SIDE_PX
from benchmarks.designs.wavelets import Wavelets
from benchmarks.trainings.in_memory import LatentsInMemory, trained
from pdm import params
from pdm.config.sample import SampleConfig
from pdm.data.pixels import Pixels, to_images, to_pixels
from pdm.evaluation.distances.set_pairs import SetPair, compute_distances
from pdm.evaluation.features.feature_spaces import feature_spaces
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.features.summary_cache import cached_summary
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.sampling_networks import Networks
from pdm.models.denoiser import Denoiser
from pdm.models.layers import bake_spectral_norms
from pdm.registry import build_denoiser
from pdm.training.diffusion import NoisyLatents
from pdm.training.loop.state import TrainState
from pdm.training.objectives.losses import FlowLosses

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
    network, images_seen = _train(job, wavelets, crops.train)
    num_samples = len(crops.unseen)
    samples = draw_samples(network, wavelets, sampling_of(job["design"]), num_samples)
    if job["samples"]:
        np.save(job["samples"], samples)
    named = ("design", "source", "seed", "seconds", "images", "learning_rate")
    found = {
        **{name: job[name] for name in named},
        "images_seen": images_seen,
        "parameters": sum(weight.numel() for weight in network.parameters()),
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
    known = {name: _summary(name, pixels, cache) for name, pixels in sets.items()}
    config = params.load(ROOT / "params.yaml").evaluate
    return {
        name: compute_distances(SetPair(known[judged], known[reference]), config)
        for name, (judged, reference) in PAIRS.items()
    }


@torch.no_grad()
def reconstruct(wavelets: Wavelets, pixels: Pixels) -> Pixels:
    """Encode and decode pictures with the first stage."""
    return to_pixels(wavelets.decode(wavelets.encode(to_images(pixels))))


@torch.no_grad()
def draw_samples(network: Denoiser, wavelets: Wavelets, config: SampleConfig, count: int) -> Pixels:
    """Samples of consecutive seeds."""
    seeds = range(FIRST_SAMPLE_SEED, FIRST_SAMPLE_SEED + count)
    shapes = wavelets.level_shapes(SIDE_PX, SIDE_PX)
    networks, pictures = Networks(network), []
    for start in range(0, count, BATCH):
        latents = draw_latents(networks, config, seeds[start : start + BATCH], shapes)
        pictures.append(to_pixels(wavelets.decode(latents)))
    return np.concatenate(pictures)


def _train(job: dict[str, Any], wavelets: Wavelets, pixels: Pixels) -> tuple[Denoiser, int]:
    """The average model, in evaluation mode; images seen."""
    config = config_of(job["design"], job["seed"], job["learning_rate"], job["images"])
    images = to_images(pixels)
    both = torch.cat([images, images.flip(3)])  # mirrored copies, as the stage `latents` makes
    latents = LatentsInMemory(wavelets.encode(both))
    torch.manual_seed(job["seed"])
    channels, downsamplings = wavelets.level_channels, wavelets.level_downsamplings
    network = build_denoiser(config, channels, downsamplings)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(network, config.training)
    losses = FlowLosses(network, config.level_loss_weights)
    data = NoisyLatents(latents, config)  # type: ignore[arg-type]
    trained(state, losses, data, config.training, job["seconds"])
    return bake_spectral_norms(state.ema), state.images_seen  # type: ignore[return-value]


def _summary(name: str, pixels: Pixels, cache: Path) -> Summary:
    config = dataclasses.replace(params.load(ROOT / "params.yaml").evaluate, crops_per_image=2)
    extractor = RandomConvFeatures(config.num_features, config.seed)
    return cached_summary(
        PictureSet(
            name=name, keys=[str(number) for number in range(len(pixels))], load=pixels.__getitem__
        ),
        np.arange(len(pixels)),
        extractor,
        feature_spaces(config, (SIDE_PX, SIDE_PX), extractor, []),
        config,
        hashlib.sha256(pixels.tobytes()).hexdigest(),
        cache,
    )


if __name__ == "__main__":
    main()
