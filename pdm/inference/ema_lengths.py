"""Compares EMAs of several lengths of one trained model, to choose `sample.ema_length`.

The best length is found after the training, from the snapshots that are saved with each checkpoint
(`pdm.ema`; Karras et al., arXiv:2312.02696, figure 5): it differs between models, and a wrong one
costs more than most other settings.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pdm.config.stages.sample import SampleConfig
from pdm.data.order import images_at
from pdm.data.pixels import Pixels
from pdm.data.shards import manifest
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.decoding import decode_to_pixels
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.sampling_networks import load_networks
from pdm.machine.device import choose_device
from pdm.model_record import record_of
from pdm.models.levels.pyramid import Pyramid
from pdm.registry import load_autoencoder

REFERENCE_IMAGES = 256  # maximum number of held-out images
MIN_IMAGES = 2  # one has no variance

Features = NDArray[np.float64]


class Judge(Protocol):
    """A distance between sets of images; less is better."""

    @property
    def name(self) -> str:
        """Name of the score."""

    def features(self, pictures: Iterable[Pixels]) -> Features:
        """Features (N, D) of images."""

    def distance(self, features: Features, reference: Features) -> float:
        """Distance of two sets of two or more images."""


@dataclass(frozen=True)
class LengthScore:
    """Distances of the samples of one EMA, by the judges' names."""

    length: float | None  # None for the EMA in the model file
    distances: dict[str, float]


def score_ema_lengths(
    config: SampleConfig,
    lengths: Sequence[float | None],
    num_images: int,
    judges: Sequence[Judge],
    *,
    latents: Path,
    autoencoder: Path,
    diffusion: Path,
) -> Iterator[LengthScore]:
    """Draw the same seeds with each EMA, and measure their distance from held-out images.

    Both sides are decoded by the autoencoder, so the distances measure the diffusion model alone.

    Args:
        config: Section `sample` of the params; its `ema_length` and `num_images` do not matter.
        lengths: Lengths of the EMAs; None for the EMA in the model file.
        num_images: Samples of each.
        judges: Measure the distances.
        latents: Written by the stage `latents`; the split val is the reference.
        autoencoder: Folder of the autoencoder.
        diffusion: Folder of the diffusion model.

    Raises:
        BadInput: A folder is missing, they do not belong together, there are too few images, or
            the model has no EMA snapshots.
    """
    facts = record_of(diffusion)
    _check_origin(facts, latents, autoencoder, diffusion)
    held_out = LatentShards(latents, "val").of_main_size()
    if min(num_images, len(held_out)) < MIN_IMAGES:
        raise BadInput(
            f"{num_images} samples and {len(held_out)} held-out images: each must be at least "
            f"{MIN_IMAGES}, since one image has no variance"
        )
    device = choose_device()
    first_stage = load_autoencoder(autoencoder).to(device)
    size = (facts["image_height_px"], facts["image_width_px"])
    shapes = [(c, h, w) for c, h, w in facts["level_shapes"]]
    count = min(REFERENCE_IMAGES, len(held_out))
    chosen = images_at(range(count), len(held_out), seed=0).tolist()

    def decode(latents: Pyramid) -> list[Pixels]:
        on_device = tuple(level.to(device) for level in latents)
        return list(decode_to_pixels(first_stage, on_device, size, config))

    reference = [decode(held_out.batch([index]))[0] for index in chosen]
    references = [judge.features(reference) for judge in judges]
    for length in lengths:
        networks = load_networks(diffusion, dataclasses.replace(config, ema_length=length), device)
        pictures: list[Pixels] = []
        for start in range(0, num_images, config.batch_size):
            numbers = range(start, min(start + config.batch_size, num_images))
            seeds = [config.seed + number for number in numbers]
            pictures += decode(draw_latents(networks, config, seeds, shapes))
        pairs = zip(judges, references, strict=True)
        yield LengthScore(
            length,
            {judge.name: judge.distance(judge.features(pictures), known) for judge, known in pairs},
        )


def _check_origin(
    facts: dict[str, object], latents: Path, autoencoder: Path, diffusion: Path
) -> None:
    """Raise BadInput unless the diffusion model was trained on these latents."""
    if facts["latents_sha256"] != manifest.digest(latents):
        raise BadInput(
            f"{diffusion} was not trained on the latents in {latents}; name those with --latents"
        )
    if facts["autoencoder_sha256"] != sha256_of(autoencoder / "model.safetensors"):
        raise BadInput(
            f"{autoencoder} did not write the latents of {diffusion}; name the one that did with "
            "--autoencoder"
        )
