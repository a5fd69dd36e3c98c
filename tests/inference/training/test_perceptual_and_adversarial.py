"""Training with a perceptual loss from a file, and with a discriminator."""

import hashlib
import os
import socket
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, load_file
from tiny_chain import AUTOENCODER, TRAINING, write_shards
from torch import Tensor, distributed, multiprocessing, nn

from pdm import events
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.stages.autoencoder import AdversarialConfig, PerceptualConfig
from pdm.errors import BadInput
from pdm.training import autoencoder
from pdm.training.distributed.workers import Workers


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
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    found = events.read(settings.run / "events.jsonl")
    names = {name for event in found for name in event.get("values", {})}
    return (settings.model / "model.safetensors").read_bytes(), names


def of_length(config, total_images):
    lengths = {"total_images": total_images, "save_every_images": 4, "log_every_images": 4}
    training = replace(config.training, **lengths)
    return replace(config, training=training)


ADVERSARIAL = AdversarialConfig(
    start_images=8, weight=0.5, width=4, num_layers=2, learning_rate=1e-3
)

NAMED = PerceptualConfig(network="efficientnet-lite0", weight=1.0, texture=2.0)
PROJECTED = replace(ADVERSARIAL, kind="projected", num_layers=None, weight=0.1)


def test_a_resumed_training_equals_an_unbroken_one(tmp_path, shards, perceptual):
    """Broken off while the discriminator rests, and after it has begun to learn."""
    config = replace(AUTOENCODER, perceptual=perceptual, adversarial=ADVERSARIAL)
    unbroken, names = trained(tmp_path / "unbroken", shards, of_length(config, 24))
    assert {"perceptual", "generator", "discriminator", "grad_norm_discriminator"} <= names
    for total_images in (4, 16):
        trained(tmp_path / "broken", shards, of_length(config, total_images))
    resumed, _ = trained(tmp_path / "broken", shards, of_length(config, 24))
    assert resumed == unbroken


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_training_with_a_projected_discriminator_equals_an_unbroken_one(
    tmp_path, shards, precision
):
    config = replace(
        AUTOENCODER,
        perceptual=NAMED,
        adversarial=PROJECTED,
        training=replace(TRAINING, precision=precision),
    )
    unbroken, names = trained(tmp_path / "unbroken", shards, of_length(config, 24))
    assert {"generator", "discriminator", "grad_norm_discriminator"} <= names
    assert "adversarial_weight" not in names
    trained(tmp_path / "broken", shards, of_length(config, 12))
    resumed, _ = trained(tmp_path / "broken", shards, of_length(config, 24))
    assert resumed == unbroken


def test_until_its_start_the_discriminator_changes_nothing(tmp_path, shards):
    later = replace(AUTOENCODER, adversarial=ADVERSARIAL)
    results = {}
    for name, config in {"without": AUTOENCODER, "with": later}.items():
        for total_images in (8, 16):
            folder = tmp_path / f"{name}-{total_images}"
            results[name, total_images], _ = trained(
                folder, shards, of_length(config, total_images)
            )
    assert results["with", 8] == results["without", 8]
    assert results["with", 16] != results["without", 16]
    saved = [load(results[name, 16]).keys() for name in ("without", "with")]
    assert saved[0] == saved[1]  # of the autoencoder alone


def test_it_keeps_its_first_weights_until_its_start_and_then_learns(tmp_path, shards):
    config = replace(
        AUTOENCODER, adversarial=ADVERSARIAL, training=replace(TRAINING, weight_decay=0.1)
    )
    weights = []
    for total_images in (4, 8, 12):
        training = replace(config.training, total_images=total_images, save_every_images=4)
        training = replace(training, log_every_images=4)
        trained(tmp_path, shards, replace(config, training=training))
        path = tmp_path / "run" / "checkpoints" / f"{total_images:09}" / "discriminator.safetensors"
        weights.append(load_file(path))
    assert all(torch.equal(first, weights[1][name]) for name, first in weights[0].items())
    # The last bias rests while no verdict is beyond the hinge: pictures and fakes pull alike.
    names = [name for name in weights[0] if name.endswith("weight")]
    assert not any(torch.equal(weights[0][name], weights[2][name]) for name in names)


@pytest.mark.parametrize("name", [None, "kl-f4", "vq-f4"])
def test_every_design_is_judged_in_bfloat16_too(tmp_path, shards, name):
    weight = 1.0 if name == "vq-f4" else 1e-6
    baseline = (
        FirstStageConfig(name=name, base_width=8, latent_scale="channel", latent_weight=weight)
        if name
        else None
    )
    config = replace(AUTOENCODER, adversarial=ADVERSARIAL, baseline=baseline)
    training = replace(TRAINING, precision="bfloat16", total_images=16, log_every_images=4)
    _, names = trained(tmp_path, shards, replace(config, training=training))
    assert {"generator", "discriminator", "adversarial_weight"} <= names


def work_as(rank: int, settings: autoencoder.Settings, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patch", "projected"])
def test_two_workers_train_both_players_in_accumulated_steps(tmp_path, shards, kind):
    training = replace(TRAINING, num_workers=2, accumulation=2, save_every_images=4)
    training = replace(training, total_images=16, keep_checkpoints=9)
    config = replace(AUTOENCODER, adversarial=ADVERSARIAL, training=training)
    if kind == "projected":
        config = replace(config, perceptual=NAMED, adversarial=PROJECTED)
    settings = autoencoder.Settings(config, shards, tmp_path / "run", tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work_as, args=(settings, port), nprocs=2)
    names = ("000000004", "000000008", "000000016")
    paths = [settings.run / "checkpoints" / name / "discriminator.safetensors" for name in names]
    first, resting, learning = (path.read_bytes() for path in paths)
    assert first == resting
    assert resting != learning


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
