"""Pictures that a diffusion model under training draws, always from the same seeds, so that one can
see it learn, and see two runs side by side at every step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pdm.baselines.autoencoders import load_autoencoder
from pdm.data.images import to_pixels
from pdm.data.sheets import contact_sheet, in_rows
from pdm.diffusion.flow import Velocity
from pdm.diffusion.samplers import multistep, noise_from_seeds
from pdm.diffusion.times import Windows, even_times, windowed
from pdm.diffusion.velocities import clamped
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.condition import told

SEEDS = range(8)
STEPS = 16  # enough to see layout and colour; the stage `sample` takes more
CLAMP = 4.0  # standard deviations: a model at its beginning predicts data that lie far out


class SampleGrid:
    """Draws the grid.

    Args:
        autoencoder: Model folder; the one that wrote the latents.
        facts: Of the latents' manifest.
        device: Where the networks are.

    Raises:
        BadInput: The autoencoder is missing, or is another one.
    """

    def __init__(self, autoencoder: Path, facts: Mapping[str, Any], device: torch.device) -> None:
        check_autoencoder(autoencoder, facts)
        self.decoder = load_autoencoder(autoencoder).to(device)
        self.shapes = [(c, h, w) for c, h, w in facts["level_shapes"]]
        self.size = (facts["image_height_px"], facts["image_width_px"])
        self.device = device

    @torch.no_grad()
    def draw(self, network: Velocity, windows: Windows | None, num_classes: int = 0) -> Image.Image:
        """One picture for each of `SEEDS`, in rows; decoded one by one, for they may be large.

        The classes of a network that takes one follow each other.
        """
        seeds = torch.tensor(SEEDS, device=self.device)
        velocity = told(network, seeds % num_classes if num_classes else None)
        noise = tuple(level.to(self.device) for level in noise_from_seeds(SEEDS, self.shapes))
        times = even_times(STEPS)
        times = times if windows is None else windowed(times, windows)
        latents = multistep(clamped(velocity, CLAMP), noise, times)
        pictures = [
            to_pixels(self.decoder.decode(tuple(level[[place]] for level in latents), self.size))[0]
            for place in range(len(SEEDS))
        ]
        return contact_sheet(in_rows(pictures))


def check_autoencoder(autoencoder: Path, facts: Mapping[str, Any]) -> None:
    """Raise BadInput unless this autoencoder wrote the latents that the facts are of."""
    weights = autoencoder / "model.safetensors"
    if not weights.is_file():
        raise BadInput(f"{weights} does not exist; run the stage 'autoencoder' first")
    if sha256_of(weights) != facts["autoencoder_sha256"]:
        raise BadInput(
            f"the latents were written by another autoencoder than {autoencoder}; run the stage "
            "'latents' again"
        )
