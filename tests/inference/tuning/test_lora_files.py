"""What a fine-tuning by LoRA leaves: adapter, merged model, snapshots of the EMA."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from test_lora_tuning import TRAINING, tune

from pdm import ema
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.registry import load_denoiser
from pdm.training import diffusion
from pdm.training.export import export_diffusion

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_adapter_lies_beside_in_the_layout_of_peft(chain, tmp_path):
    tune(tmp_path, chain)
    folder = tmp_path / "model" / "lora"
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert (settings["peft_type"], settings["r"], settings["lora_alpha"]) == ("LORA", 2, 4.0)
    tensors = load_file(folder / "adapter_model.safetensors")
    base = bake_spectral_norms(load_denoiser(chain.diffusion)).state_dict()
    merged = load_file(tmp_path / "model" / "model.safetensors")
    assert len(tensors) == 2 * len(settings["target_modules"]) > 0
    for layer in settings["target_modules"]:
        down, up = (tensors[f"base_model.model.{layer}.lora_{one}.weight"] for one in "AB")
        change = (4.0 / 2) * (up.flatten(1) @ down.flatten(1)).view_as(base[f"{layer}.weight"])
        torch.testing.assert_close(merged[f"{layer}.weight"], base[f"{layer}.weight"] + change)


def test_ema_snapshots_are_merged_so_that_any_length_loads(chain, tmp_path):
    training = replace(TRAINING, ema_lengths=(0.05, 0.1))
    tune(tmp_path, chain, training=training)
    found = ema.load_ema(tmp_path / "model", 0.1)
    network = load_denoiser(tmp_path / "model")
    assert found.keys() == dict(network.named_parameters()).keys()
    network.load_state_dict(found, strict=True)


def test_any_checkpoint_is_exported_merged(chain, tmp_path):
    config = tune(tmp_path, chain, training=replace(TRAINING, keep_checkpoints=5))
    runs = tmp_path / "runs"
    runs.mkdir()
    run = diffusion.run_folder(config, latents=chain.latents, runs=runs)
    (tmp_path / "run").rename(run)
    export_diffusion(
        config, latents=chain.latents, runs=runs, run=None, images_seen=16, model=tmp_path / "again"
    )
    names = ("model.safetensors", "lora/adapter_model.safetensors")
    for name in names:
        expected = (tmp_path / "model" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == expected
