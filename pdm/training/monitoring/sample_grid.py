"""Pictures that a diffusion model under training draws, always from the same seeds, so that one can
see it learn, and see two runs side by side at every step."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from pdm.data.pixels import Pixels, to_pixels
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import clamp_data
from pdm.diffusion.samplers import multistep, noise_from_seeds
from pdm.diffusion.sampling_times import Windows, even_times, times_by_level
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.condition import with_class_label
from pdm.models.pyramid import Pyramid
from pdm.registry import load_autoencoder

SEEDS = range(8)
STEPS = 16  # enough to see layout and colour; the stage `sample` takes more
CLAMP = 4.0  # standard deviations: a model at its beginning predicts data that lie far out


class SampleGrid:
    """Draws them.

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

    def pictures(
        self, network: Velocity, windows: Windows | None, count: int, num_classes: int = 0
    ) -> Iterator[Pixels]:
        """One picture for each of the seeds 0 to `count`; drawn when they are asked for.

        The classes of a network that takes one follow each other.
        """
        times = even_times(STEPS)
        times = times if windows is None else times_by_level(times, windows)
        for start in range(0, count, len(SEEDS)):
            seeds = range(start, min(start + len(SEEDS), count))
            labels = torch.tensor(seeds, device=self.device) % num_classes if num_classes else None
            noise = tuple(level.to(self.device) for level in noise_from_seeds(seeds, self.shapes))
            with torch.no_grad():
                latents = multistep(
                    clamp_data(with_class_label(network, labels), CLAMP), noise, times
                )
            yield from self.decode(latents)

    def decode(self, latents: Pyramid) -> Iterator[Pixels]:
        """Their pictures, one by one, for they may be large."""
        for place in range(len(latents[0])):
            one = tuple(level[[place]].to(self.device) for level in latents)
            with torch.no_grad():
                images = self.decoder.decode(one, self.size)
            yield to_pixels(images)[0]


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
