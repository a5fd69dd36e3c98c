"""Trains one diffusion model on a first stage's latents, draws from it, and scores what it drew."""

import dataclasses
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import crops as kept_crops
from benchmarks.common import ROOT
from benchmarks.crops import Crops, Pixels
from benchmarks.denoisers import DESIGNS, Scale, config_of, sampling_of
from benchmarks.first_stages import SIDE_PX
from benchmarks.in_memory import CropsInMemory, LatentsInMemory, trained
from pdm import params
from pdm.baselines.autoencoders import load_autoencoder
from pdm.baselines.networks import build_network
from pdm.config.sample import SampleConfig
from pdm.data.images import to_images, to_pixels
from pdm.evaluation.distances import distances
from pdm.evaluation.features import RandomConvFeatures
from pdm.evaluation.pictures import PictureSet
from pdm.evaluation.reference import kept_summary
from pdm.evaluation.summary import Summary
from pdm.evaluation.views import views_of
from pdm.inference.draw import draw_latents
from pdm.inference.networks import Networks
from pdm.models.codec import Autoencoder
from pdm.models.layers import with_plain_weights
from pdm.models.pyramid import Pyramid
from pdm.training.diffusion import NoisyLatents
from pdm.training.losses import FlowLosses
from pdm.training.reconstruction import latent_statistics
from pdm.training.state import TrainState

if TYPE_CHECKING:
    from pdm.baselines.networks import Network

BATCH = 64
FIRST_SAMPLE_SEED = 10_000


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    crops = kept_crops.load(Path(job["crops"]))[job["source"]]
    first_stage = load_autoencoder(Path(job["first_stages"]) / DESIGNS[job["design"]].first_stage)
    _scale(first_stage, crops.train, DESIGNS[job["design"]].scale)
    network, images_seen = _trained(job, first_stage, crops.train)
    num_samples = len(crops.unseen)
    samples = drawn(network, first_stage, sampling_of(job["design"]), num_samples)
    if job["samples"]:
        np.save(job["samples"], samples)
    named = ("design", "source", "seed", "seconds", "images", "learning_rate")
    found = {
        **{name: job[name] for name in named},
        "images_seen": images_seen,
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "latent_values": sum(c * h * w for c, h, w in first_stage.level_shapes(SIDE_PX, SIDE_PX)),
        "samples": num_samples,
        "distances": scored(samples, first_stage, crops, Path(job["cache"])),
    }
    print(json.dumps(found))


def scored(
    samples: Pixels, first_stage: Autoencoder, crops: Crops, cache: Path
) -> dict[str, dict[str, float]]:
    """Distances of the evaluate stage, by what is compared.

    `samples` are compared with crops that were not trained on, of the pictures that were; with
    crops of pictures held out; and with what the first stage makes of the former (what is left to
    the denoising network). `floor` and `floor, held out` are real against real: what as many
    training crops score; `first stage alone` is what a perfect denoising network would.
    """
    decoded = reconstructed(first_stage, crops.unseen)
    sets = {
        "samples": samples,
        "train": crops.train[: len(crops.unseen)],
        "unseen": crops.unseen,
        "held_out": crops.held_out,
        "decoded": decoded,
        "decoded train": reconstructed(first_stage, crops.train[: len(crops.unseen)]),
    }
    known = {name: _summary(name, pixels, cache) for name, pixels in sets.items()}
    pairs = {
        "samples": ("samples", "unseen"),
        "floor": ("train", "unseen"),
        "samples, held out": ("samples", "held_out"),
        "floor, held out": ("train", "held_out"),
        "first stage alone": ("decoded train", "unseen"),
        "samples, against decoded": ("samples", "decoded"),
    }
    config = params.load(ROOT / "params.yaml").evaluate
    return {
        name: distances(known[judged], known[reference], config)
        for name, (judged, reference) in pairs.items()
    }


@torch.no_grad()
def drawn(network: "Network", first_stage: Autoencoder, config: SampleConfig, count: int) -> Pixels:
    """Pictures of consecutive seeds."""
    seeds = range(FIRST_SAMPLE_SEED, FIRST_SAMPLE_SEED + count)
    shapes = first_stage.level_shapes(SIDE_PX, SIDE_PX)
    pictures = []
    for start in range(0, count, BATCH):
        latents = draw_latents(
            Networks(network, None), config, seeds[start : start + BATCH], shapes
        )
        pictures.append(to_pixels(first_stage.decode(latents, (SIDE_PX, SIDE_PX))))
    return np.concatenate(pictures)


def reconstructed(first_stage: Autoencoder, pixels: Pixels) -> Pixels:
    """Through the latents and back."""
    latents = encoded(first_stage, pixels)
    parts = [
        to_pixels(first_stage.decode(tuple(part), (SIDE_PX, SIDE_PX)))
        for part in zip(*(level.split(BATCH) for level in latents), strict=True)
    ]
    return np.concatenate(parts)


@torch.no_grad()
def encoded(first_stage: Autoencoder, pixels: Pixels) -> Pyramid:
    """Standardised latents of all crops."""
    starts = range(0, len(pixels), BATCH)
    parts = [first_stage.encode(to_images(pixels[start : start + BATCH])) for start in starts]
    return tuple(torch.cat(level) for level in zip(*parts, strict=True))


def _trained(
    job: dict[str, Any], first_stage: Autoencoder, pixels: Pixels
) -> tuple["Network", int]:
    """The average model, in evaluation mode; images seen."""
    config = config_of(job["design"], job["seed"], job["learning_rate"], job["images"])
    both = np.concatenate([pixels, pixels[:, :, ::-1]])  # mirrored copies, as the stage `latents`
    latents = LatentsInMemory(encoded(first_stage, np.ascontiguousarray(both)))
    torch.manual_seed(job["seed"])
    channels, downsamplings = first_stage.level_channels, first_stage.level_downsamplings
    network = build_network(config, channels, downsamplings)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(network, config.training)
    losses = FlowLosses(network, config.level_loss_weights)
    data = NoisyLatents(latents, config)  # type: ignore[arg-type]
    trained(state, losses, data, config.training, job["seconds"])
    return with_plain_weights(state.average), state.images_seen  # type: ignore[return-value]


def _scale(first_stage: Autoencoder, pixels: Pixels, scale: Scale) -> None:
    """Standardise by the statistics of these crops: each channel, or all by one number."""
    size = (SIDE_PX, SIDE_PX)
    means, stds = latent_statistics(first_stage, CropsInMemory(pixels), size)  # type: ignore[arg-type]
    if scale == "scalar":
        values = torch.cat([level.flatten() for level in _raw(first_stage, pixels)])
        means, stds = (
            [torch.zeros_like(mean) for mean in means],
            [values.std().expand_as(std) for std in stds],
        )
    first_stage.set_statistics(means, stds)


def _raw(first_stage: Autoencoder, pixels: Pixels) -> Pyramid:
    with torch.no_grad():
        return first_stage.posterior(to_images(pixels[:1024]))[0]


def _summary(name: str, pixels: Pixels, cache: Path) -> Summary:
    config = dataclasses.replace(params.load(ROOT / "params.yaml").evaluate, crops_per_image=2)
    extractor = RandomConvFeatures(config.num_features, config.seed)
    return kept_summary(
        PictureSet(
            name=name, keys=[str(number) for number in range(len(pixels))], load=pixels.__getitem__
        ),
        np.arange(len(pixels)),
        extractor,
        views_of(config, (SIDE_PX, SIDE_PX), extractor, []),
        config,
        hashlib.sha256(pixels.tobytes()).hexdigest(),
        cache,
    )


if __name__ == "__main__":
    main()
