"""LoRA on two workers that share all weights, the frozen ones too (FSDP2), on gloo."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from points import CONFIG
from shared.worker_groups import run_group
from test_fsdp import FILES, Images, Losses, Network, flat

from pdm.models.layers.lora import ADAPTER, add_adapters, merge_adapters
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.sharded_files import load_whole
from pdm.training.distributed.sharded import full_tensor, shard_model
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

RANK, SCALE = 1, 2.0  # of a single row of A one of the workers has nothing
CLOSE = {"rel": 1e-3, "abs": 1e-5}  # adapters move by 0.01 and more


def adapted_network() -> Network:
    torch.manual_seed(0)
    network = bake_spectral_norms(Network().eval()).train()
    add_adapters(network, RANK, SCALE, ["entry", "second"])
    return network


def tune(workers: Workers, folder: Path, changes: dict) -> tuple[float, dict]:
    """Train the adapters.

    Returns:
        The share of all weights that this worker has, and the whole tensors of the last checkpoint.
    """
    config = replace(
        CONFIG, num_workers=workers.count, learning_rate=0.01, ema_lengths=(0.1,), **changes
    )
    model = adapted_network()
    state = TrainState(model, config)
    restore_newest(state, checkpoints_of(folder, config), workers)
    run = RunFolder(folder, "images", config, workers, state.images_seen, lambda *_: 0.0)
    train(state, workers.wrap(Losses(model), config), Images(), config, run, workers)
    workers.max_over_workers(0)  # barrier: worker 0 has written the last checkpoint
    weights = list(model.parameters())
    here = [part.to_local().numel() for part in weights] if state.is_sharded else [0]
    checkpoint = folder / "checkpoints" / f"{state.images_seen:09}"
    files = {name: load_whole(checkpoint, name) for name in FILES}
    merged = merge_adapters(state.ema.state_dict(), SCALE)
    return sum(here) / sum(map(torch.Tensor.numel, weights)), flat(files | {"merged": merged})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> list[tuple[float, dict]]:
    """What two workers give after a tuning without a break."""
    return run_group(2, tune, tmp_path_factory.mktemp("unbroken"), {"strategy": "fsdp"})


def test_adapters_train_as_in_one_process_and_the_base_stays_to_the_bit(unbroken, tmp_path):
    [(_, expected)] = run_group(1, tune, tmp_path, {"strategy": "ddp"})
    first, second = unbroken
    assert first[1] == second[1]
    assert [first[0], second[0]] == pytest.approx([0.5, 0.5], abs=0.05)
    base = adapted_network().state_dict()
    assert first[1].keys() == expected.keys()
    for name, values in first[1].items():
        assert values == pytest.approx(expected[name], **CLOSE), name
        file, _, tensor = name.partition("/")
        if file in ("model", "ema", "ema-0.1") and ADAPTER not in tensor:
            assert values == base[tensor].flatten().tolist(), name
        elif tensor.endswith(f"{ADAPTER}.up"):
            assert max(map(abs, values)) > 0.01, name  # they start at zero
    moments = [name for name in first[1] if name.startswith("optimizer/") and "exp_avg_sq" in name]
    assert len(moments) == sum(ADAPTER in name for name in base)


def test_a_tuning_resumes_to_the_bit_and_with_other_workers(unbroken, tmp_path):
    expected, _ = unbroken
    for total_images in (16, 48):
        changes = {"strategy": "fsdp", "total_images": total_images}
        found, _ = run_group(2, tune, tmp_path / "two", changes)
    assert found == expected
    for count, strategy, total_images in ((2, "fsdp", 16), (1, "ddp", 32), (2, "fsdp", 48)):
        changes = {"strategy": strategy, "total_images": total_images}
        found = run_group(count, tune, tmp_path / "changing", changes)[0]
    for name, values in expected[1].items():
        assert found[1][name] == pytest.approx(values, **CLOSE), name


def outputs_in_bfloat16(workers: Workers) -> list[list[float]]:
    """What a network computes whole, and with sharded weights; with adapters too small for a sum
    in bfloat16 to show them."""
    model = adapted_network().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".up"):
                weight.fill_(1e-4)
    image = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = []
    sharded = copy.deepcopy(model)
    shard_model(sharded, replace(CONFIG, strategy="fsdp", precision="bfloat16"))
    for network in (model, sharded):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found.append(full_tensor(network(image)).flatten().tolist())
    return found


def test_in_bfloat16_small_adapters_are_added_in_float32():
    for whole, sharded in run_group(2, outputs_in_bfloat16):
        assert whole == sharded
