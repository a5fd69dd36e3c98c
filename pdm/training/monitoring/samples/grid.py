"""Draws pictures from a diffusion model during training. Seeds are always the same, so that
progress is visible, and two runs can be compared at every step."""

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import clamp_data
from pdm.diffusion.level_schedules import Schedule, min_steps, sampler_stops
from pdm.diffusion.samplers import multistep, noise_from_seeds
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.levels.pyramid import Pyramid
from pdm.registry import load_autoencoder
from pdm.training.monitoring.samples.preview_batches import MakePreviews, unconditional_previews

SEEDS = range(8)
STEPS = 16  # enough to see layout and colour; the stage `sample` uses more
CLAMP = 4.0  # standard deviations; an untrained model predicts values far outside

Draw = Callable[[Velocity, Pyramid], Pyramid]  # from a velocity and noise to data


class SampleGrid:
    """Draws the pictures of fixed seeds.

    Args:
        autoencoder: Folder of the model that wrote the latents.
        facts: Facts of the latents' manifest.
        device: Device of the networks.

    Raises:
        BadInput: The autoencoder is missing, or did not write the latents.
    """

    def __init__(self, autoencoder: Path, facts: Mapping[str, Any], device: torch.device) -> None:
        check_autoencoder(autoencoder, facts)
        self.autoencoder = load_autoencoder(autoencoder).to(device)
        self.shapes = [(c, h, w) for c, h, w in facts["level_shapes"]]
        self.size = (facts["image_height_px"], facts["image_width_px"])
        self.device = device

    def of_bucket(self, shards: LatentShards) -> "SampleGrid":
        """The same at the size of the pictures of a bucket (`LatentShards.only`)."""
        grid = copy.copy(self)
        grid.shapes = list(shards.shapes_in(0))
        width, height = shards.buckets[0].size
        grid.size = (height, width)
        return grid

    def draw(
        self,
        network: Velocity,
        sampler: Draw,
        seeds: range,
        make_previews: MakePreviews = unconditional_previews,
    ) -> Iterator[Pixels]:
        """Draw one picture for each seed, all at once, and decode them one by one."""
        with torch.no_grad():
            batch = make_previews(seeds)
            noise = noise_from_seeds(batch.seeds, self.shapes)
            latents = sampler(
                batch.velocity(network, self.device),
                tuple(level.to(self.device) for level in noise),
            )
        yield from self.decode(latents)

    def encode(self, pixels: Pixels) -> Pyramid:
        """Encode pictures (B, H, W, 3) to standardised latents, on the device."""
        with torch.no_grad():
            return self.autoencoder.encode(to_images(pixels, self.device))

    def decode(self, latents: Pyramid) -> Iterator[Pixels]:
        """Decode latents one by one, since pictures may be large."""
        for place in range(len(latents[0])):
            one = tuple(level[[place]].to(self.device) for level in latents)
            with torch.no_grad():
                images = self.autoencoder.decode(one, self.size)
            yield to_pixels(images.float())[0]


def flow_sampler(schedule: Schedule | None, num_levels: int) -> Draw:
    """Make the sampler of a flow network under training."""
    steps = max(STEPS, min_steps(schedule, num_levels))
    times = sampler_stops(steps, 1.0, schedule, num_levels)
    return lambda velocity, noise: multistep(clamp_data(velocity, CLAMP), noise, times)


def check_autoencoder(autoencoder: Path, facts: Mapping[str, Any]) -> None:
    """Raise BadInput unless this autoencoder wrote the latents with these facts."""
    weights = autoencoder / "model.safetensors"
    if not weights.is_file():
        raise BadInput(f"{weights} does not exist; run the stage 'autoencoder' first")
    if sha256_of(weights) != facts["autoencoder_sha256"]:
        raise BadInput(
            f"{autoencoder} is not the autoencoder that wrote the latents; run the stage 'latents' "
            "again"
        )
