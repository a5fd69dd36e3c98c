"""Both trainings on two workers, with FSDP and activation checkpointing: the models they write."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from shared.worker_groups import run_group
from tiny_chain import AUTOENCODER, DIFFUSION, write_shards

from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.training import autoencoder, diffusion


def call(workers, work, settings) -> None:
    work(settings, workers)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("spread") / "shards")


def settings_of(config, folder, strategy, **paths):
    changes = {"strategy": strategy, "num_workers": 2, "checkpoint_activations": strategy == "fsdp"}
    config = replace(config, training=replace(config.training, **changes))
    return config, folder / strategy / "run", folder / strategy / "model"


def weights_of(model):
    found = load_file(model / "model.safetensors")
    return torch.cat([weight.flatten() for name, weight in found.items() if "." in name])


@pytest.mark.slow
def test_an_autoencoder_trains_alike(tmp_path, shards):
    found = []
    for strategy in ("ddp", "fsdp"):
        config, run, model = settings_of(AUTOENCODER, tmp_path, strategy)
        settings = autoencoder.Settings(config, shards, run, model)
        assert run_group(2, call, autoencoder.train_on_worker, settings) == [None, None]
        found.append(weights_of(model))
    # Eight steps of up to 0.002 each could part them by 0.03; that the weights are laid out in
    # another order parts them by this much (docs/log.md).
    assert (found[0] - found[1]).abs().mean() < 0.006


@pytest.mark.slow
def test_a_diffusion_model_trains_alike(tmp_path, chain):
    found = []
    for strategy in ("ddp", "fsdp"):
        config, run, model = settings_of(DIFFUSION, tmp_path, strategy)
        settings = diffusion.Settings(
            config, ReferenceDistance, chain.latents, run, model, chain.autoencoder
        )
        assert run_group(2, call, diffusion.train_on_worker, settings) == [None, None]
        found.append(weights_of(model))
    # Eight steps of up to 0.002 each could part them by 0.03; that the weights are laid out in
    # another order parts them by this much (docs/log.md).
    assert (found[0] - found[1]).abs().mean() < 0.006
