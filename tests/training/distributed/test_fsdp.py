"""Weights replicated on each worker (DDP), or sharded over two (FSDP2), on gloo."""

import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from points import CONFIG
from shared.tiny_pyramid import AUTOENCODER
from shared.worker_groups import run_group
from torch import nn
from torch.distributed.tensor.debug import CommDebugMode

from pdm.errors import Unavailable
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.layers.spectral_norm import with_spectral_norm
from pdm.models.regions import Region, Span
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.sharded_files import load_whole
from pdm.training.distributed.sharded import shard_model
from pdm.training.distributed.workers import Workers
from pdm.training.loop.seeds import normal_pyramid_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.loop.updates.muon import is_matrix

FILES = ("model", "ema", "ema-0.1", "optimizer")  # of a checkpoint


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = with_spectral_norm(nn.Conv2d(16, 16, 3, padding=1))
        self.second = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, image):
        return image + self.second(torch.nn.functional.silu(self.first(image)))


class Network(nn.Module):
    block_types = (Block,)

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(1, 16, 3, padding=1)
        self.blocks = nn.ModuleList(Block() for _ in range(2))

    def forward(self, image):
        hidden = self.entry(image)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden.mean(dim=1, keepdim=True)


class Losses(nn.Module):
    def __init__(self, model) -> None:
        super().__init__()
        self.model = model

    def forward(self, image):
        return {"loss": (self.model(image) - 2 * image).square().mean()}


class Images:
    def load(self, positions):
        return normal_pyramid_at(0, positions, "image", [(1, 8, 8)])

    def keys(self, positions):
        return []


def train_network(workers: Workers, folder: Path, changes: dict) -> list:
    config = replace(
        CONFIG, num_workers=workers.count, learning_rate=0.001, ema_lengths=(0.1,), **changes
    )
    torch.manual_seed(workers.rank)  # the first one's weights must win
    model = Network()
    state = TrainState(model, config)
    restore_newest(state, checkpoints_of(folder, config), workers)
    run = RunFolder(folder, "images", config, workers, state.images_seen, lambda *_: 0.0)
    train(state, workers.wrap(Losses(model), config), Images(), config, run, workers)
    workers.max_over_workers(0)  # barrier: worker 0 has written the last checkpoint
    checkpoint = folder / "checkpoints" / f"{state.images_seen:09}"
    files = {name: load_whole(checkpoint, name) for name in FILES}
    weights = [weight.numel() for weight in model.parameters()]
    here = [part.to_local().numel() for part in model.parameters()] if state.is_sharded else weights
    return [
        sum(here) / sum(weights),
        flat(files),
        float(state.ema(torch.ones(1, 1, 8, 8)).sum()),
    ]


def flat(files) -> dict[str, list[float]]:
    return {
        f"{file}/{name}": tensor.float().flatten().tolist()
        for file, tensors in files.items()
        for name, tensor in tensors.items()
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Callable[..., list]:
    """What `count` workers give after a training without a break. Each is done once."""
    found: dict[tuple, list] = {}

    def train_unbroken(count: int, strategy: str, optimizer: str = CONFIG.optimizer) -> list:
        settings = (count, strategy, optimizer)
        if settings not in found:
            changes = {"strategy": strategy, "optimizer": optimizer}
            folder = tmp_path_factory.mktemp("unbroken")
            found[settings] = run_group(count, train_network, folder, changes)
        return found[settings]

    return train_unbroken


def decode_sharded(workers: Workers, region: Region) -> list:
    torch.manual_seed(0)
    widths = (16, 16, 16, 16)
    config = replace(AUTOENCODER, norm="pixel", encoder_widths=widths, decoder_widths=widths)
    model = PyramidAutoencoder(config)
    latents = tuple(torch.randn(1, *shape) for shape in model.level_shapes(16, 32))
    with torch.no_grad():
        before = model.decode_region(latents, region)
        shard_model(model, replace(CONFIG, strategy="fsdp"))
        after = model.decode_region(latents, region)
    with CommDebugMode() as messages:
        matrices = [is_matrix(weight) for weight in model.parameters()]
    return [torch.allclose(before, after), any(matrices), messages.get_total_counts()]


def test_sharded_weights_decode_a_region_and_tell_their_shapes_without_a_message():
    region = Region(Span(0, 8), Span(8, 16), 16, 32)
    assert run_group(2, decode_sharded, region) == [[True, True, 0]] * 2


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_sharded_weights_train_like_replicated_ones(unbroken, optimizer):
    found = {}
    for strategy in ("ddp", "fsdp"):
        first, second = unbroken(2, strategy, optimizer)
        assert first[1:] == second[1:]
        found[strategy] = first
    assert found["ddp"][0] == 1
    assert found["fsdp"][0] == pytest.approx(0.5, abs=0.05)
    assert found["fsdp"][2] == pytest.approx(found["ddp"][2], rel=1e-3)
    for name, expected in found["ddp"][1].items():
        # Muon gives rare directions the size of common ones, so another order of sums shows sooner.
        close = {"rel": 1e-3, "abs": 1e-4} if optimizer == "adamw" else {"rel": 0.05, "abs": 2e-3}
        assert found["fsdp"][1][name] == pytest.approx(expected, **close), name


def test_a_run_resumes_with_the_other_strategy_and_another_number_of_workers(unbroken, tmp_path):
    """16 images on two workers with spread weights, 16 on one, 16 on two with whole ones."""
    [expected] = unbroken(1, "ddp")
    for count, strategy, total_images in ((2, "fsdp", 16), (1, "fsdp", 32), (2, "ddp", 48)):
        changes = {"strategy": strategy, "total_images": total_images}
        found = run_group(count, train_network, tmp_path / "changing", changes)
    for name, values in expected[1].items():  # all have moved by about 0.006
        assert found[0][1][name] == pytest.approx(values, rel=1e-3, abs=6e-4), name


def test_a_resumed_network_with_spectral_norms_equals_an_unbroken_one_to_the_bit(
    unbroken, tmp_path
):
    [expected] = unbroken(1, "ddp")
    for total_images in (16, 32, 48):
        [found] = run_group(1, train_network, tmp_path, {"total_images": total_images})
    assert found == expected


def test_weights_under_a_spectral_norm_keep_their_length_whoever_trains_them(unbroken):
    for strategy in ("ddp", "fsdp"):
        first, _ = unbroken(2, strategy, "adamw")
        for block in (0, 1):
            name = f"model/blocks.{block}.first.parametrizations.weight.original"
            assert torch.tensor(first[1][name]).norm() == pytest.approx((16 / 3) ** 0.5, rel=1e-5)


def test_a_sharded_training_resumes_to_the_bit(unbroken, tmp_path):
    expected, _ = unbroken(2, "fsdp")
    for total_images in (16, 32, 48):
        changes = {"strategy": "fsdp", "total_images": total_images}
        found, _ = run_group(2, train_network, tmp_path, changes)
    assert found == expected


def test_each_worker_writes_its_own_shards_and_no_pickle(tmp_path):
    changes = {"strategy": "fsdp", "total_images": 16}
    run_group(2, train_network, tmp_path, changes)
    checkpoint = tmp_path / "checkpoints" / "000000016"
    names = sorted(str(one.relative_to(checkpoint)) for one in checkpoint.rglob("*.*"))
    shards = [f"shards/shard-0000{rank}-model-00001-of-00001.safetensors" for rank in (1, 2)]
    assert names == ["MANIFEST.json", *shards, "state.json"]
    sizes = [(checkpoint / name).stat().st_size for name in shards]
    assert sizes[1] > 0.4 * sum(sizes)
    damaged = checkpoint / shards[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    for found in run_group(2, train_network, tmp_path, changes):
        assert "damaged" in str(found)


def test_a_worker_that_cannot_write_stops_all_and_leaves_no_checkpoint(tmp_path):
    for found in run_group(2, train_and_fail, tmp_path):
        assert isinstance(found, Unavailable), found
        assert "no checkpoint could be written" in str(found)
    assert not (tmp_path / "checkpoints" / "000000016").exists()


def train_and_fail(workers: Workers, folder: Path) -> list:
    """Worker 1 has a disk that is full: it may write no file beyond 20 kB."""
    if workers.rank == 1:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    return train_network(workers, folder, {"strategy": "fsdp"})


def test_in_bfloat16_sharded_weights_train_like_whole_ones(tmp_path):
    found = {}
    for strategy in ("ddp", "fsdp"):
        changes = {"strategy": strategy, "precision": "bfloat16"}
        found[strategy], _ = run_group(2, train_network, tmp_path / strategy, changes)
    for name, expected in found["ddp"][1].items():
        if name.startswith("ema/"):  # all have moved by about 0.02
            assert found["fsdp"][1][name] == pytest.approx(expected, rel=0.02, abs=4e-3), name
