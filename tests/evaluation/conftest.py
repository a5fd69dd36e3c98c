"""Small folders as the other stages leave them: shards, samples, an untrained autoencoder."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pdm.config.autoencoder import AutoencoderModelConfig, LevelConfig
from pdm.config.evaluate import EvaluateConfig
from pdm.data.manifest import Manifest, Shard
from pdm.data.tars import write_tar
from pdm.models.autoencoder import PyramidAutoencoder

HEIGHT, WIDTH = 32, 64
NUM_TRAIN, NUM_VAL, NUM_SAMPLES = 12, 5, 6


def landscape(seed, height=HEIGHT, width=WIDTH):
    """A sky, a ground and a sun, all of random colour and place, with a little texture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / height
    horizon = random.uniform(0.3, 0.7) + 0.08 * np.sin(random.uniform(2, 8) * x)
    sky, ground, sun = random.uniform(30, 220, (3, 3))
    picture = np.where((y < horizon)[..., None], sky * (1 - 0.3 * y[..., None]), ground)
    centre = random.uniform(0, 0.3), random.uniform(0, width / height)
    picture[np.hypot(y - centre[0], x - centre[1]) < 0.12] = sun
    picture += random.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def png(picture):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def write_shards(folder, pictures):
    """`pictures`: split -> {key: picture}."""
    folder.mkdir(parents=True)
    splits = {}
    for split, named in pictures.items():
        path = folder / f"{split}-000000.tar"
        write_tar(
            path, ((key, {"png": png(each), "json": b"{}"}) for key, each in sorted(named.items()))
        )
        splits[split] = [Shard.of(path, len(named))]
    Manifest(splits, {"width_px": WIDTH, "height_px": HEIGHT}).save(folder)
    return folder


def write_samples(folder, pictures):
    folder.mkdir(parents=True)
    rows = []
    for index, picture in enumerate(pictures):
        name = f"{index:06}.png"
        (folder / name).write_bytes(png(picture))
        rows.append({"file": name, "seed": index})
    (folder / "samples.json").write_text(json.dumps({"samples": rows, "steps": 4}))
    return folder


def training_picture(index):
    return landscape(1000 + index)


@pytest.fixture
def config() -> EvaluateConfig:
    return EvaluateConfig(
        num_features=16,
        num_projections=16,
        patches_per_image=8,
        num_neighbours=3,
        batch_size=4,
        seed=0,
    )


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    return write_shards(
        tmp_path_factory.mktemp("shards") / "shards",
        {
            "train": {f"{index:020x}": training_picture(index) for index in range(NUM_TRAIN)},
            "val": {f"{index + 500:020x}": landscape(2000 + index) for index in range(NUM_VAL)},
        },
    )


@pytest.fixture
def samples(tmp_path) -> Path:
    return write_samples(tmp_path / "samples", [landscape(index) for index in range(NUM_SAMPLES)])


@pytest.fixture(scope="session")
def autoencoder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = AutoencoderModelConfig(
        levels=(
            LevelConfig(downsampling="global", channels=4),
            LevelConfig(downsampling=8, channels=4),
            LevelConfig(downsampling=4, channels=2),
        ),
        encoder_widths=(8, 8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        encoder_blocks=1,
        decoder_blocks=1,
        attention_from=8,
        encoder_dropout=(0.0,) * 4,
        decoder_dropout=(0.0,) * 4,
        encoder_spectral_norm=False,
        decoder_spectral_norm=False,
    )
    assert dataclasses.is_dataclass(config)
    folder = tmp_path_factory.mktemp("models") / "autoencoder"
    PyramidAutoencoder(config).save_pretrained(folder)
    return folder
