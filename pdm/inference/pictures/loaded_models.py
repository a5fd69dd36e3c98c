"""Trained models, loaded to draw in a user's images."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import TaskConfig
from pdm.data.annotations.maps import names_of
from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.conditioning import NO_CONDITIONING
from pdm.inference.decoding import decode_to_pixels, tile_px_for
from pdm.inference.image_sizes import sizes_of
from pdm.inference.latent_sampling import SEEDS_ONLY, SamplingInputs, draw_latents
from pdm.inference.own_settings import own_facts
from pdm.inference.prompts import config_for_loading
from pdm.inference.sample_settings import settings_of
from pdm.inference.sampling_networks import (
    Networks,
    check_few_steps,
    few_steps_facts,
    load_networks,
)
from pdm.inference.trained_size import side_multiple, size_of
from pdm.machine.device import choose_device
from pdm.machine.out_of_memory import explain_out_of_memory
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.registry import load_autoencoder
from pdm.tasks.find import build_task, task_of_model


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """Both networks in evaluation mode on one device, and the task that they were trained for.

    Args:
        autoencoder: Encodes and decodes.
        networks: The diffusion model.
        config: How to sample.
        task: What it was trained for.
        size: (H, W) in pixels that it was trained at; the main one, if there are several.
        facts: Of every image that is drawn, for its provenance.
        map_names: Classes of the maps that it draws from.
        sizes: All (H, W) that it was trained at.
    """

    autoencoder: Autoencoder
    networks: Networks
    config: SampleConfig
    task: TaskConfig
    size: tuple[int, int]
    facts: dict[str, Any]
    map_names: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def device(self) -> torch.device:
        """Device of the networks."""
        return next(self.networks.network.parameters()).device

    @property
    def side_multiple(self) -> int:
        """What the sides of an image must be multiples of."""
        config = self.networks.network.config
        name = config.name if isinstance(config, LatentUNetConfig) else None
        return side_multiple(self.autoencoder.level_downsamplings, name)

    @torch.no_grad()
    def encode(self, pixels: Pixels) -> Pyramid:
        """Encode images (B, H, W, 3) to standardised latents."""
        images = to_images(pixels, self.device)
        return self.autoencoder.encode(images, tile_px_for(pixels.shape[1:3], self.config))

    @torch.no_grad()
    def draw(
        self,
        seeds: Sequence[int],
        size: tuple[int, int],
        inputs: SamplingInputs = SEEDS_ONLY,
        config: SampleConfig | None = None,
    ) -> list[Pixels]:
        """Draw an image of (H, W) pixels for each seed.

        Args:
            seeds: One for each image.
            size: Multiples of `side_multiple`.
            inputs: What does not follow from the seeds.
            config: How to sample, if not as the models'.

        Raises:
            Unavailable: There is too little memory for images of this size.
        """
        shapes, images = self.autoencoder.level_shapes(*size), f"{size[1]}x{size[0]} pixels"
        advice = "draw a smaller image, or a large one in tiles by `pyramid draw --size`"
        with explain_out_of_memory(self.device, f"to draw {images} as a whole", advice):
            latents = draw_latents(self.networks, config or self.config, seeds, shapes, inputs)
            return list(decode_to_pixels(self.autoencoder, latents, size, self.config))


def load_models(folder: Path, config: SampleConfig, prompts: Sequence[Prompt] = ()) -> LoadedModels:
    """Load the models in the folders `autoencoder` and `diffusion` of a folder.

    Args:
        folder: Of both.
        config: Section `sample` of the params.
        prompts: That will be drawn; the guide is loaded, too, if one of them needs it.

    Raises:
        BadInput: A model is missing or damaged, they do not belong together, or the network for
            few steps cannot follow a prompt's options.
    """
    # The stage's own; commands have theirs.
    config = dataclasses.replace(config, size=None, enlarger=None)
    autoencoder, diffusion = folder / "autoencoder", folder / "diffusion"
    record, digest = record_of(diffusion), sha256_of(autoencoder / "model.safetensors")
    if record.get("autoencoder_sha256") != digest:
        raise BadInput(f"{diffusion} was not trained on latents of {autoencoder}; name its own")
    if prompts and all(prompt.guidance_scale == 1 for prompt in prompts):
        # No guide is loaded, and the network for few steps may be taken.
        config = dataclasses.replace(config, guidance_scale=1.0)
    check_few_steps(diffusion, config, prompts)
    device = choose_device()
    task = task_of_model(record, None)
    found = build_task(task, record)
    conditioning = NO_CONDITIONING if found.needs_pictures or found.needs_maps else None
    for_loading = config_for_loading(config, prompts)
    networks = load_networks(diffusion, for_loading, device, conditioning)
    facts = settings_of(config) | {
        "autoencoder_sha256": digest,
        "diffusion_sha256": sha256_of(diffusion / "model.safetensors"),
        **few_steps_facts(diffusion, config),
        **own_facts(config, record),
    }
    first_stage = load_autoencoder(autoencoder).to(device)
    task = task_of_model(record, networks.network.condition_sizes)
    sizes = tuple(one.size for one in sizes_of(record) if one.is_trained)
    return LoadedModels(
        first_stage, networks, config, task, size_of(record), facts, names_of(record), sizes
    )
