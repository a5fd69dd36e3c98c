"""Training against networks that judge: files of the user's, and a discriminator."""

import hashlib
from dataclasses import replace

import pytest
import torch
from tiny_chain import AUTOENCODER, TRAINING, write_shards
from torch import Tensor, nn

from pdm import events
from pdm.config.autoencoder import PerceptualConfig
from pdm.errors import BadInput
from pdm.training import autoencoder
from pdm.training.workers import Workers


class Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (self.conv(first) - self.conv(second)).square().mean(dim=(1, 2, 3))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("judged") / "shards")


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "distance.pt"
    torch.manual_seed(0)
    torch.jit.script(Features()).save(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PerceptualConfig(path=str(path), sha256=digest, weight=0.5)


def trained(folder, shards, config):
    """The bytes of the model, and all that was logged."""
    settings = autoencoder.Settings(config, shards, folder / "run", folder / "model")
    autoencoder._work(settings, Workers(torch.device("cpu")))
    found = events.read(settings.run / "events.jsonl")
    names = {name for event in found for name in event.get("values", {})}
    return (settings.model / "model.safetensors").read_bytes(), names


def of_length(config, total_images):
    training = replace(TRAINING, total_images=total_images, save_every_images=8)
    return replace(config, training=training)


def test_a_resumed_training_equals_an_unbroken_one(tmp_path, shards, perceptual):
    config = replace(AUTOENCODER, perceptual=perceptual)
    unbroken, names = trained(tmp_path / "unbroken", shards, of_length(config, 24))
    assert "perceptual" in names
    trained(tmp_path / "broken", shards, of_length(config, 8))
    resumed, _ = trained(tmp_path / "broken", shards, of_length(config, 24))
    assert resumed == unbroken
    plain, _ = trained(tmp_path / "plain", shards, of_length(AUTOENCODER, 24))
    assert plain != unbroken


def test_another_file_is_refused_before_any_work(tmp_path, shards, perceptual):
    config = replace(AUTOENCODER, perceptual=replace(perceptual, sha256="0" * 64))
    with pytest.raises(BadInput, match="0" * 64):
        autoencoder.train_autoencoder(
            config,
            shards=shards,
            run=tmp_path / "run",
            model=tmp_path / "model",
            curves=tmp_path / "curves.csv",
        )
    assert not (tmp_path / "run").exists()
