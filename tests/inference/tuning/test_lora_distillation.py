"""Tuning for few steps (`diffusion.distil`) of a flow that was tuned by LoRA, and merged."""

import json
from dataclasses import replace

import pytest
import torch
from test_distillation import DISTIL, distil, draw
from test_fine_tuning import source_of
from test_lora_tuning import LORA, TRAINING, config_of, tune

from pdm import events
from pdm.model_record import record_of
from pdm.registry import load_denoiser
from pdm.training.distillation.student import build_losses
from pdm.weights import FEW_STEPS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tuned(chain, tmp_path_factory):
    """The chain with a flow that was tuned by LoRA, and the params that name both tunings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as `one_thread`, which comes later than this fixture
    folder = tmp_path_factory.mktemp("lora")
    config = tune(folder, chain)
    yield replace(chain, diffusion=folder / "model"), replace(config, distil=DISTIL)
    torch.set_num_threads(before)


def test_a_merged_flow_is_tuned_for_few_steps_and_stays(tuned, tmp_path):
    chain, config = tuned
    model = distil(chain, tmp_path, config)
    for file in ("model.safetensors", "lora/adapter_model.safetensors"):
        assert (model / file).read_bytes() == (chain.diffusion / file).read_bytes()
    log = events.read(tmp_path / "run" / "events.jsonl")
    losses = [event["values"]["val_loss"] for event in log if "val_loss" in event.get("values", {})]
    assert losses[-1] < losses[0]
    record = record_of(model / FEW_STEPS)
    assert record["config"]["spectral_norm"] is False
    assert "few_steps_sha256" in draw(chain, model, tmp_path / "samples", steps=4)
    before, after = load_denoiser(model), load_denoiser(model / FEW_STEPS)
    moved = [
        name
        for name, weight in before.named_parameters()
        if not torch.equal(weight, after.state_dict()[name])
    ]
    assert any("conv" in name for name in moved)  # not only what the adapters are on


def test_the_tuning_begins_with_the_merged_weights(tuned):
    chain, config = tuned
    flow = load_denoiser(chain.diffusion).state_dict()
    losses = build_losses(config, load_denoiser(chain.diffusion), torch.device("cpu"))
    found = losses.model.state_dict()
    assert found.keys() == flow.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in flow.items())
    assert all(weight.requires_grad for weight in losses.model.parameters())


def test_a_merged_model_is_a_source_to_train_on_and_then_to_distil(tuned, tmp_path):
    """What the guide says of further fine-tuning, in full."""
    chain, _ = tuned
    plain = replace(config_of(chain).model, spectral_norm=False)
    source = source_of(chain.diffusion)
    config = tune(tmp_path / "full", chain, init_from=source, lora=None, model=plain)
    taken = json.loads((tmp_path / "full/model/config.json").read_text())["init_from"]
    assert taken["taken"] == taken["total"]
    again = replace(chain, diffusion=tmp_path / "full" / "model")
    model = distil(again, tmp_path, replace(config, distil=replace(DISTIL, total_images=4)))
    assert (model / FEW_STEPS / "model.safetensors").is_file()


def test_both_settings_are_part_of_the_params(chain):
    config = config_of(chain, distil=DISTIL, training=replace(TRAINING, strategy="fsdp"))
    assert (config.lora, config.distil) == (LORA, DISTIL)
