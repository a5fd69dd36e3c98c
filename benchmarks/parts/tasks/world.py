"""Shards of small landscapes with maps, an autoencoder on them, and a model of a task."""

import dataclasses
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from pdm import params, presets
from pdm.config import Params
from pdm.config.task import TextTask
from pdm.config.training.loop import TrainingConfig
from pdm.curation.scrape.drawing.boxes import NAMES as BOX_CLASSES
from pdm.curation.scrape.drawing.kinds import KINDS
from pdm.curation.scrape.drawing.landscapes import draw_described
from pdm.curation.scrape.drawing.scene import choose
from pdm.data.annotations.boxes import WHOLE, Layout, layout_of_sample
from pdm.data.annotations.maps import EXTENSION, ClassMap, encode_map, resize_map
from pdm.data.pixels import Pixels
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.loaded_models import LoadedModels, load_models
from pdm.params.keys import DEFAULT
from pdm.tasks.text import prepare_text
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

DRAWN_PX = (256, 128)  # landscapes are drawn at this size, and reduced
SEED = 3  # of the landscapes
CPU = torch.device("cpu")


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
# Which words or boxes go with what: too few pictures are learned by heart instead.
FULL_TOKENS = Size(1000, 100, 3200, 25600, 20)


@dataclass(frozen=True)
class World:
    """A trained model of a task, and held-out pictures with maps and boxes at the training size."""

    models: LoadedModels
    held_out: Pixels  # (N, H, W, 3)
    maps: list[ClassMap]
    train: Pixels
    train_maps: list[ClassMap]
    layouts: list[Layout]  # of the held-out pictures


@dataclass(frozen=True)
class FirstStage:
    """What several tasks can share: shards, an autoencoder trained on them, and their latents."""

    shards: Path
    model: Path
    latents: Path


def build(size: Size, preset: str, folder: Path) -> World:
    """Draw, train and load. `preset` is the task's, onto the smallest model."""
    config = params_of(size, "model-tiny", preset)
    return train_task(config, train_first_stage(size, config, folder), folder)


def train_first_stage(size: Size, config: Params, folder: Path) -> FirstStage:
    """Draw landscapes, train an autoencoder on them, and encode them. What an earlier call has
    finished in the folder is taken as it is."""
    stage = FirstStage(folder / "shards", folder / "models/autoencoder", folder / "latents")
    if not (stage.shards / manifest.FILE_NAME).exists():
        _write_shards(size, config, stage.shards)
    if not stage.model.exists():
        run = folder / "run-autoencoder"
        settings = autoencoder.Settings(config.autoencoder, stage.shards, run, stage.model)
        autoencoder.train_on_worker(settings, Workers(CPU))
    if not stage.latents.exists():
        encode_shards(
            config.latents, shards=stage.shards, autoencoder=stage.model, latents=stage.latents
        )
    return stage


def train_task(config: Params, stage: FirstStage, folder: Path) -> World:
    """Train the diffusion model of a task, unless an earlier call has, and load it."""
    models = folder / "models"
    settings = diffusion.Settings(
        config.diffusion,
        ReferenceDistance,
        stage.latents,
        folder / "run-diffusion",
        models / "diffusion",
        stage.model,
    )
    if isinstance(config.diffusion.task, TextTask):
        splits = [LatentShards(stage.latents, split) for split in ("train", "val")]
        prepare_text(config.diffusion.task, splits, settings.text_files, None)
    if not settings.model.exists():
        diffusion.train_on_worker(settings, Workers(CPU))
    if not (models / "autoencoder").exists():
        (models / "autoencoder").symlink_to(stage.model.resolve())
    height, width = config.autoencoder.image_height_px, config.autoencoder.image_width_px
    sets = [ImageShards(stage.shards, split) for split in ("val", "train")]
    pictures = [one.batch(range(len(one)), height, width) for one in sets]
    maps = [[one.class_map(i, height, width) for i in range(len(one))] for one in sets]
    layouts = [layout_of_sample(sets[0].record(number)) for number in range(len(sets[0]))]
    loaded = load_models(models, config.sample)
    return World(loaded, pictures[0], maps[0], pictures[1], maps[1], layouts)


def params_of(size: Size, model: str | None, task: str | None) -> Params:
    """Return the params of a training.

    Args:
        size: How long to train, and how many steps the sampler takes.
        model: Preset of the model; None for the default one.
        task: Preset of the task; None for no condition.
    """
    config = presets.load(model) if model else params.load(DEFAULT)
    of_task = presets.load(task) if task else config
    first_stage, flow = config.autoencoder, config.diffusion
    assert flow.model is not None
    assert of_task.diffusion.model is not None
    first_stage = dataclasses.replace(
        first_stage,
        training=_shortened(
            first_stage.training, size.autoencoder_images, of_task.autoencoder.training.optimizer
        ),
    )
    flow = dataclasses.replace(
        flow,
        training=_shortened(
            flow.training, size.diffusion_images, of_task.diffusion.training.optimizer
        ),
        task=of_task.diffusion.task,
        condition_dropout=of_task.diffusion.condition_dropout,
        model=dataclasses.replace(
            flow.model, cross_attention_from=of_task.diffusion.model.cross_attention_from
        ),
        score_images=0,
    )
    sample = dataclasses.replace(
        config.sample,
        steps=size.steps,
        batch_size=16,
        tile_px=None,
        guidance_scale=of_task.sample.guidance_scale if task else 1.0,
        guide=of_task.sample.guide if task else None,
    )
    return dataclasses.replace(
        config,
        scrape=of_task.scrape,
        autoencoder=first_stage,
        latents=of_task.latents,
        diffusion=flow,
        sample=sample,
    )


def _shortened(
    training: TrainingConfig, num_images: int, optimizer: Literal["adamw", "muon"]
) -> TrainingConfig:
    return dataclasses.replace(
        training,
        total_images=num_images,
        log_every_images=num_images,
        save_every_images=num_images,
        warmup_images=min(160, num_images // 2),
        ema_lengths=(),
        optimizer=optimizer,
    )


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
    facts["boxes"] = {"classes": sorted(BOX_CLASSES), "crop": WHOLE}
    facts["captioned"] = sum(map(len, numbers.values()))
    manifest.Manifest(splits, facts).save(folder)
    return folder


def _sample(index: int, width: int, height: int) -> tuple[str, dict[str, bytes]]:
    landscape = draw_described(SEED, index, *DRAWN_PX)
    file, key = io.BytesIO(), f"{index:020x}"
    picture = Image.fromarray(landscape.picture)
    picture.resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
    content = encode_map(resize_map(landscape.kinds, height, width))
    boxes = [box.as_record() for box in landscape.boxes]
    facts = {"key": key, "caption": choose(SEED, index).caption, "boxes": boxes}
    record = json.dumps(facts).encode()
    return key, {"png": file.getvalue(), "json": record, EXTENSION: content}


def psnr(pictures: Pixels, truth: Pixels) -> float:
    """Of all pictures together."""
    error = np.square(pictures.astype(np.float64) - truth).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
