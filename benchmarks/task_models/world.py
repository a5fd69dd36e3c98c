"""Shards of small landscapes with maps, an autoencoder on them, and a model of a task."""

import dataclasses
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pdm import presets
from pdm.config import Params
from pdm.config.task import TextTask
from pdm.curation.scrape.drawing.kinds import KINDS
from pdm.curation.scrape.drawing.landscapes import draw_with_map
from pdm.curation.scrape.drawing.scene import choose
from pdm.data.maps import EXTENSION, ClassMap, encode_map, resize_map
from pdm.data.pixels import Pixels
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.studio import Studio, open_studio
from pdm.tasks.text import prepare_text
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

DRAWN_PX = (256, 128)  # landscapes are drawn at this size, and reduced
SEED = 3  # of the landscapes
CPU = torch.device("cpu")
SECTIONS = ("autoencoder", "diffusion")


@dataclass(frozen=True)
class Size:
    """How much is drawn and trained."""

    num_train: int
    num_held_out: int
    autoencoder_images: int
    diffusion_images: int
    steps: int  # of the sampler


QUICK = Size(8, 4, 16, 16, 2)
FULL = Size(160, 40, 1600, 9600, 20)


@dataclass(frozen=True)
class World:
    """A trained model of a task, and held-out pictures with maps at the training size."""

    studio: Studio
    held_out: Pixels  # (N, H, W, 3)
    maps: list[ClassMap]
    train: Pixels
    train_maps: list[ClassMap]


def build(size: Size, preset: str, folder: Path) -> World:
    """Draw, train and load. `preset` is the task's, onto the smallest model."""
    config = _params(size, preset)
    shards = _write_shards(size, config, folder / "shards")
    models, latents = folder / "models", folder / "latents"
    first_stage = autoencoder.Settings(
        config.autoencoder, shards, folder / "run-autoencoder", models / "autoencoder"
    )
    autoencoder._work(first_stage, Workers(CPU))
    encode_shards(config.latents, shards=shards, autoencoder=first_stage.model, latents=latents)
    settings = diffusion.Settings(
        config.diffusion,
        ReferenceDistance,
        latents,
        folder / "run-diffusion",
        models / "diffusion",
        first_stage.model,
    )
    if isinstance(config.diffusion.task, TextTask):
        splits = [LatentShards(latents, split) for split in ("train", "val")]
        prepare_text(config.diffusion.task, splits, settings.text_files, None)
    diffusion._work(settings, Workers(CPU))
    sample = dataclasses.replace(config.sample, steps=size.steps, batch_size=16, tile_px=None)
    sample = dataclasses.replace(sample, guidance_scale=1.0, guide=None)
    height, width = config.autoencoder.image_height_px, config.autoencoder.image_width_px
    sets = [ImageShards(shards, split) for split in ("val", "train")]
    pictures = [one.batch(range(len(one)), height, width) for one in sets]
    maps = [[one.class_map(i, height, width) for i in range(len(one))] for one in sets]
    return World(open_studio(models, sample), pictures[0], maps[0], pictures[1], maps[1])


def _params(size: Size, preset: str) -> Params:
    text = presets.preset_text("model-tiny", None)
    with_task = presets.load(preset)
    config = presets.params.parse(text, Path("model-tiny.yaml"))
    lengths = {"autoencoder": size.autoencoder_images, "diffusion": size.diffusion_images}
    sections = {
        name: dataclasses.replace(
            getattr(config, name),
            training=dataclasses.replace(
                getattr(config, name).training,
                total_images=lengths[name],
                log_every_images=lengths[name],
                save_every_images=lengths[name],
                warmup_images=min(160, lengths[name] // 2),
                ema_lengths=(),
            ),
        )
        for name in SECTIONS
    }
    sections["diffusion"] = dataclasses.replace(
        sections["diffusion"],
        task=with_task.diffusion.task,
        condition_dropout=with_task.diffusion.condition_dropout,
        score_images=0,
    )
    guided = {name: getattr(with_task.sample, name) for name in ("guidance_scale", "guide")}
    sample = dataclasses.replace(config.sample, **guided)
    return dataclasses.replace(config, latents=with_task.latents, sample=sample, **sections)


def _write_shards(size: Size, config: Params, folder: Path) -> Path:
    folder.mkdir(parents=True)
    target = config.autoencoder.image_width_px, config.autoencoder.image_height_px
    numbers = {
        "train": range(size.num_train),
        "val": range(size.num_train, size.num_train + size.num_held_out),
    }
    splits = {}
    for split, indices in numbers.items():
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, (_sample(index, *target) for index in indices))
        splits[split] = [manifest.Shard.of(path, len(indices))]
    lines = (Listed(f"{i:020x}", f"{i:064x}", split) for split, ids in numbers.items() for i in ids)
    listing.write(folder, lines)
    facts = {"width_px": target[0], "height_px": target[1], "map_classes": KINDS}
    facts["captioned"] = sum(map(len, numbers.values()))
    manifest.Manifest(splits, facts).save(folder)
    return folder


def _sample(index: int, width: int, height: int) -> tuple[str, dict[str, bytes]]:
    picture, kinds = draw_with_map(SEED, index, *DRAWN_PX)
    file, key = io.BytesIO(), f"{index:020x}"
    Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
    content = encode_map(resize_map(kinds, height, width))
    record = json.dumps({"key": key, "caption": choose(SEED, index).caption}).encode()
    return key, {"png": file.getvalue(), "json": record, EXTENSION: content}


def psnr(pictures: Pixels, truth: Pixels) -> float:
    """Of all pictures together."""
    error = np.square(pictures.astype(np.float64) - truth).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
