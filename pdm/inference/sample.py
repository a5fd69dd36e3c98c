"""The stage `sample`: draws pictures from the trained models, each from its own seed."""

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pdm import weights
from pdm.config.common import Mark, fields_without
from pdm.config.sample import SampleConfig
from pdm.data.marks import mark, pixels_sha256
from pdm.data.pixels import Pixels, to_images, to_pixels
from pdm.data.shards.images import ImageShards
from pdm.data.sheets import contact_sheet, split_into_rows
from pdm.errors import BadInput
from pdm.files import atomic_folder, sha256_of, write_json
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.previews import write_previews
from pdm.inference.sampling_networks import Networks, load_networks
from pdm.models.codec import Autoencoder
from pdm.models.levels.pyramid import LevelShape
from pdm.progress import Progress
from pdm.registry import load_autoencoder

logger = logging.getLogger(__name__)

SAMPLE_SETTINGS = fields_without(SampleConfig, Mark.NOT_IN_SAMPLES)
GUIDANCE_SETTINGS = ("guidance_scale", "guide", "guidance_interval")


def sample_pictures(
    config: SampleConfig, *, autoencoder: Path, diffusion: Path, shards: Path, samples: Path
) -> None:
    """Write the pictures, `samples.json` and `contact-sheet.png`; if configured, also `previews/`
    (see `pdm.inference.previews`) and `full-size/`.

    Picture i has the seed `config.seed + i` and does not depend on its batch. Its class follows
    from the seed: pictures cycle through the classes.

    Args:
        config: Section `sample` of the params.
        autoencoder: Folder of the autoencoder.
        diffusion: Folder of the diffusion model, trained on this autoencoder's latents.
        shards: Shards; one held-out picture is encoded and decoded at full size, if configured.
        samples: Folder to write.

    Raises:
        BadInput: A model is missing, the models do not match, or the diffusion model has no EMA
            snapshots for `ema_length`.
    """
    facts = weights.record_of(diffusion)
    decoder = load_autoencoder(autoencoder)
    digest = sha256_of(autoencoder / "model.safetensors")
    if facts["autoencoder_sha256"] != digest:
        raise BadInput(
            f"{diffusion} was not trained on latents of the autoencoder {autoencoder}; run the "
            "stages 'latents' and 'diffusion' again"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    decoder.to(device)
    networks = load_networks(diffusion, config, device)
    shapes = [(c, h, w) for c, h, w in facts["level_shapes"]]
    size = (facts["image_height_px"], facts["image_width_px"])
    untrained = facts.get("images_seen") == 0
    if untrained:
        logger.warning("sample: RANDOM WEIGHTS: %s has seen no image and draws noise", diffusion)
    with atomic_folder(samples) as folder:
        tile_px = config.tile_px if config.tile_px and max(size) > config.tile_px else None
        pictures = _draw(config, decoder, networks, shapes, size, tile_px)
        drawn = settings_of(config) | {
            "autoencoder_sha256": digest,
            "diffusion_sha256": sha256_of(diffusion / "model.safetensors"),
            **({"untrained": True} if untrained else {}),
        }
        listed = []
        for number, picture in enumerate(pictures):
            name, origin = f"{number:06}.png", _origin(networks, config.seed + number)
            Image.fromarray(picture).save(folder / name, pnginfo=mark(origin | drawn))
            listed.append({"file": name, "pixels_sha256": pixels_sha256(picture)} | origin)
        contact_sheet(split_into_rows(pictures)).save(folder / "contact-sheet.png")
        if config.previews:
            previews = folder / "previews"
            write_previews(previews, config, decoder, networks, shapes, size, tile_px)
        record: dict[str, Any] = {"samples": listed, **drawn}
        if config.full_size_picture:
            full_size = folder / "full-size"
            record["full_size"] = _full_size(decoder, shards, full_size, device, config.tile_px)
        write_json(folder / "samples.json", record)
    last = config.seed + config.num_images - 1
    logger.info(
        "sample: %d pictures of %dx%d, seeds %d to %d, in %s",
        config.num_images,
        *size[::-1],
        config.seed,
        last,
        samples,
    )


def _origin(networks: Networks, seed: int) -> dict[str, Any]:
    """Return what differs between pictures of a run: seed and class."""
    name = networks.class_of(seed)
    return {"seed": seed} | ({} if name is None else {"class": name})


def settings_of(config: SampleConfig) -> dict[str, Any]:
    """Return all settings that a picture depends on besides its seed and the models. Guidance and
    classes are left out if they were not used."""
    guided = config.guidance_scale != 1
    unused = (() if guided else GUIDANCE_SETTINGS) + (() if config.classes else ("classes",))
    found = dataclasses.asdict(config)
    if guided:
        found["guide"] = {name: v for name, v in found["guide"].items() if v is not None}
    return {name: found[name] for name in SAMPLE_SETTINGS if name not in unused}


def _draw(
    config: SampleConfig,
    decoder: Autoencoder,
    networks: Networks,
    shapes: Sequence[LevelShape],
    size: tuple[int, int],
    tile_px: int | None,
) -> list[Pixels]:
    """Draw all pictures, uint8 (H, W, 3), in the order of their seeds."""
    progress = Progress("sample", config.num_images)
    pictures: list[Pixels] = []
    seeds = range(config.seed, config.seed + config.num_images)
    for start in range(0, len(seeds), config.batch_size):
        chosen = seeds[start : start + config.batch_size]
        latents = draw_latents(networks, config, chosen, shapes)
        with torch.no_grad():
            pictures += list(to_pixels(decoder.decode(latents, size, tile_px)))
        progress.advance(len(chosen))
    return pictures


@torch.no_grad()
def _full_size(
    model: Autoencoder, shards: Path, folder: Path, device: torch.device, tile_px: int | None
) -> dict[str, Any]:
    """Encode and decode the first held-out picture at the shards' full size."""
    held_out = ImageShards(shards, "val")
    height, width = (int(held_out.manifest.facts[name]) for name in ("height_px", "width_px"))
    original = held_out.load(0, height, width)
    began = time.perf_counter()
    images = to_images(original[None]).to(device)
    latents = model.encode(images, tile_px)
    decoded = to_pixels(model.decode(latents, (height, width), tile_px))[0]
    seconds = time.perf_counter() - began
    folder.mkdir()
    Image.fromarray(original).save(folder / "original.png")
    Image.fromarray(decoded).save(folder / "decoded.png")
    error = np.square(original.astype(np.float64) - decoded).mean()
    psnr = float(10 * np.log10(255**2 / max(error, 1e-9)))
    logger.info(
        "sample: encoded and decoded %dx%d in %.1f s, PSNR %.1f dB", width, height, seconds, psnr
    )
    return {"key": held_out.keys[0], "psnr": psnr, "width_px": width, "height_px": height}
