"""Loads the champion of MLflow's registry, and draws images from it:

from pdm.inference.champion import load_champion

images = load_champion().draw([0, 1, 2])
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.config.records import from_record
from pdm.config.stages.sample import SampleConfig
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.decoding import decode_to_pixels
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.sampling_networks import Networks, load_networks
from pdm.machine.device import choose_device
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import LevelShape
from pdm.registry import load_autoencoder
from pdm.scratch_folders import scratch_folder
from pdm.tracking.registry.champion import fetch_champion

# Settings that `samples.json` omits, because no image depends on them or they were not set. A
# test compares them with the marks of `SampleConfig`.
WITHOUT_EFFECT: dict[str, Any] = {
    "num_images": 1,
    "seed": 0,
    "batch_size": 1,
    "full_size_picture": False,
    "previews": None,
    "tile_px": None,
    "guidance_scale": 1.0,
    "guide": None,
    "classes": None,
    "precision": "float32",
    "prompts": None,
    "negative_prompt": None,
    "layouts": None,
    "guidance_interval": [0.0, 1.0],
    "size": None,
    "enlarger": None,
    "tiling": "fstd",
    "colour": "wavelet",
}


@dataclass(frozen=True, slots=True)
class ChampionModel:
    """All networks, in evaluation mode on one device, with their sampling settings.

    Models that work on an image are refused; a model of boxes draws without boxes.
    """

    autoencoder: Autoencoder
    networks: Networks
    config: SampleConfig
    level_shapes: Sequence[LevelShape]
    size: tuple[int, int]  # (H, W) of an image in pixels

    def draw(self, seeds: Sequence[int]) -> list[Pixels]:
        """Draw one image for each seed, uint8 (H, W, 3), all at the main size.

        For models of one size, without a condition or of classes, they are those of the stage
        `sample`, up to the order of sums: batches and `sample.tile_px` may differ by a grey level.
        The stage also draws a model's other sizes, larger images (`sample.size`), prompts of a
        file or of captions with options of their own, and layouts.
        """
        latents = draw_latents(self.networks, self.config, seeds, self.level_shapes)
        return list(decode_to_pixels(self.autoencoder, latents, self.size, self.config))


def load_champion() -> ChampionModel:
    """Download the champion from MLflow (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME) and load it
    onto the GPU, if there is one.

    Raises:
        BadInput: There is no champion, or another version of this package made it.
        Unavailable: MLflow cannot be reached.
    """
    with scratch_folder("champion") as scratch:
        return load_champion_folder(fetch_champion(scratch))


def load_champion_folder(folder: Path) -> ChampionModel:
    """Load a folder of `autoencoder/`, `diffusion/` and `samples.json`.

    Raises:
        BadInput: The folder lacks one of these, or one is damaged.
    """
    device = choose_device()
    facts = record_of(folder / "diffusion")
    config = settings_of_samples(folder / "samples.json")
    return ChampionModel(
        load_autoencoder(folder / "autoencoder").to(device),
        load_networks(folder / "diffusion", config, device),
        config,
        [(c, h, w) for c, h, w in facts["level_shapes"]],
        (facts["image_height_px"], facts["image_width_px"]),
    )


def settings_of_samples(path: Path) -> SampleConfig:
    """Load the settings that the scored samples were drawn with."""
    try:
        found = WITHOUT_EFFECT | json.loads(path.read_text(encoding="utf-8"))
        settings = {item.name: found[item.name] for item in dataclasses.fields(SampleConfig)}
        return from_record(SampleConfig, settings, "sample")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path.name} of the model lacks sampling settings ({error!r}); it was made by "
            "another version of this package"
        ) from error
