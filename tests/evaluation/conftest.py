"""Small folders as the other stages leave them: shards, samples, an untrained autoencoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluation_folders import (
    CONFIG,
    NUM_SAMPLES,
    NUM_TRAIN,
    NUM_VAL,
    landscape,
    training_picture,
    write_samples,
    write_shards,
)
from shared.tiny_pyramid import AUTOENCODER

from pdm.config.networks.autoencoder_model import LevelConfig
from pdm.evaluation.evaluate import evaluate
from pdm.models.autoencoder import PyramidAutoencoder


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
    config = replace(
        AUTOENCODER,
        levels=(
            LevelConfig(downsampling="global", channels=4, kl_weight=1e-6),
            LevelConfig(downsampling=8, channels=4, kl_weight=1e-6),
            LevelConfig(downsampling=4, channels=2, kl_weight=1e-6),
        ),
        encoder_widths=(8, 8, 8, 8),
        decoder_widths=(8, 8, 8, 8),
        encoder_spectral_norm=False,
    )
    folder = tmp_path_factory.mktemp("models") / "autoencoder"
    PyramidAutoencoder(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def evaluated(shards, autoencoder, tmp_path_factory):
    """Folder and scores of one plain run."""
    folder = tmp_path_factory.mktemp("evaluated")
    drawn = write_samples(folder / "samples", [landscape(index) for index in range(NUM_SAMPLES)])
    scores = evaluate(
        CONFIG,
        samples=drawn,
        shards=shards,
        autoencoder=autoencoder,
        metrics=folder / "metrics.json",
        plots=folder / "plots",
        cache=folder / "cache",
    )
    return folder, scores


@pytest.fixture
def run(samples, shards, autoencoder, tmp_path):
    """Runs the stage on the small folders, with any argument replaced; gives its scores."""

    def run(settings=CONFIG, **changed):
        paths = {
            "samples": samples,
            "shards": shards,
            "autoencoder": autoencoder,
            "metrics": tmp_path / "metrics.json",
            "plots": tmp_path / "plots",
            "cache": tmp_path / "cache",
        }
        return evaluate(settings, **(paths | changed))

    return run


@pytest.fixture
def evaluate_with(run, tmp_path):
    """The same; gives the replicates."""

    def replicates(settings=CONFIG, **changed):
        run(settings, **changed)
        return json.loads((tmp_path / "plots" / "replicates.json").read_text())["scores"]

    return replicates
