"""Bright pictures and dark ones, each with a class and two captions, and others that nobody
described: a data set from which a tiny model learns in seconds what it is told to draw."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, SAMPLE, TRAINING

from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.text import TextTransformerConfig, WordPiecesConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.sample import GuideConfig
from pdm.config.task import TextTask
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.errors import Preempted
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards
from pdm.inference.sample import sample_images
from pdm.tasks.text import prepare_text
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

GREYS = {"bright": 200, "dark": 40, None: 120}
CAPTIONS = {
    "bright": ("a bright picture", "something light"),
    "dark": ("a dark picture", "something at night"),
    None: (),
}
SPLITS = {"train": range(40), "val": range(40, 50)}
ENOUGH = replace(  # to tell bright from dark
    TRAINING,
    total_images=2400,
    batch_size=16,
    save_every_images=2400,
    log_every_images=800,
    learning_rate=4e-3,
    ema_half_life_images=160,
)
BRIEF = replace(ENOUGH, total_images=64, save_every_images=64, log_every_images=32)
PLAIN = replace(
    DIFFUSION,
    model=replace(DIFFUSION.model, dropout=(0.0, 0.0)),
    condition_dropout=0.2,
    training=ENOUGH,
)
CLASSES = ConditionConfig(num_classes=2, token_width=0, map_channels=0)
BY_CLASS = replace(PLAIN, model=replace(PLAIN.model, condition=CLASSES))
TASK = TextTask(
    kind="text",
    encoder=WordPiecesConfig(
        kind="word_pieces",
        vocabulary=None,
        transformer=TextTransformerConfig(
            vocabulary_size=80, max_tokens=8, width=16, depth=1, num_heads=2, head_width=8
        ),
    ),
    prompts=(),
)
BY_TEXT = replace(PLAIN, task=TASK)
UNCONDITIONAL = GuideConfig(kind="unconditional")


def shade_of(number: int) -> str | None:
    """The picture's class."""
    return ("bright", "dark", "bright", "dark", None)[number % 5]


def sample_of(number: int) -> tuple[str, dict[str, bytes]]:
    generator = np.random.default_rng(number)
    noise = generator.normal(0, 12, (4, 8, 3)) + generator.normal(0, 12, 3)
    pixels = (GREYS[shade_of(number)] + noise).clip(0, 255).astype(np.uint8)
    file, key = io.BytesIO(), f"{number:020x}"
    Image.fromarray(pixels).resize((128, 64), Image.Resampling.BICUBIC).save(file, "PNG")
    captions = CAPTIONS[shade_of(number)]
    record = {
        "key": key,
        "class_name": shade_of(number),
        "caption": captions[0] if captions else None,
        "captions": captions,
    }
    return key, {"png": file.getvalue(), "json": json.dumps(record).encode(), "txt": b""}


def write_shards(folder: Path) -> Path:
    folder.mkdir()
    splits = {}
    for split, numbers in SPLITS.items():
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, (sample_of(number) for number in numbers))
        splits[split] = [manifest.Shard.of(path, len(numbers))]
    listing.write(
        folder,
        (Listed(f"{n:020x}", f"{n:064x}", split) for split, ns in SPLITS.items() for n in ns),
    )
    facts = {"width_px": 128, "height_px": 64, "captioned": 40, "classes": ["bright", "dark"]}
    manifest.Manifest(splits, facts).save(folder)
    return folder


def make_latents(folder: Path) -> None:
    """Write `shards`, train `autoencoder`, and write `latents`."""
    shards = write_shards(folder / "shards")
    training = replace(ENOUGH, total_images=640, save_every_images=640, log_every_images=320)
    config = replace(AUTOENCODER, equivariance_loss_weight=0.0, close_up=0.0, training=training)
    settings = autoencoder.Settings(config, shards, folder / "run", folder / "autoencoder")
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    latents = folder / "latents"
    encode_shards(LATENTS, shards=shards, autoencoder=settings.model, latents=latents)


def link_latents(made: Path, folder: Path) -> Path:
    """Lay what `make_latents` has made into another folder, for trainings of its own."""
    for name in ("shards", "autoencoder", "latents"):
        (folder / name).symlink_to(made / name)
    return folder


def train(folder: Path, name: str, config: DiffusionConfig) -> Path:
    """Train a diffusion model on the folder's latents; its own folder, of this name."""
    settings = diffusion.Settings(
        config,
        ReferenceDistance,
        folder / "latents",
        folder / "runs" / "diffusion" / name,
        folder / name,
        folder / "autoencoder",
        folder,
    )
    if isinstance(config.task, TextTask):
        splits = [LatentShards(folder / "latents", split) for split in ("train", "val")]
        prepare_text(config.task, splits, settings.text_files, None)
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    return settings.model


@dataclass(frozen=True)
class Taught:
    """A diffusion model that knows bright from dark, in the folder of its chain."""

    folder: Path
    diffusion: Path

    def draw(self, samples: Path, **changes) -> Path:
        config = {"num_images": 6, "steps": 5, "batch_size": 6, "full_size_picture": False}
        sample_images(
            replace(SAMPLE, **config | changes),
            autoencoder=self.folder / "autoencoder",
            diffusion=self.diffusion,
            shards=self.folder / "shards",
            samples=samples,
        )
        return samples


def rows_of(samples: Path) -> list[tuple[dict, np.ndarray]]:
    """What samples.json says of each picture, and its pixels, int (H, W, 3)."""
    listed = json.loads((samples / "samples.json").read_text())["samples"]
    return [(one, np.asarray(Image.open(samples / one["file"])).astype(int)) for one in listed]


def check_that_resuming_changes_nothing(config: DiffusionConfig, folder: Path) -> None:
    """Train once without and once with a stop at its first chance; compare the weights."""
    unbroken = train(folder, "unbroken", config)
    stop = folder / "runs" / "diffusion" / "broken" / "stop"
    stop.parent.mkdir()
    stop.touch()
    with pytest.raises(Preempted):
        train(folder, "broken", config)
    stop.unlink()
    broken = train(folder, "broken", config)
    assert sha256_of(broken / "model.safetensors") == sha256_of(unbroken / "model.safetensors")
