"""Models whose weights are not finite draw nothing: their pictures would be black."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_chain import SAMPLE, Chain, sample_from

from pdm.errors import QualityGate
from pdm.files import sha256_of


def spoilt(model, copy, value: float):
    """A copy of a model with one weight of each tensor replaced."""
    shutil.copytree(model, copy)
    tensors = load_file(copy / "model.safetensors")
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.view(-1)[0] = value
    save_file(tensors, copy / "model.safetensors")
    return copy


def draw(chain: Chain, samples, **changes):
    sample_from(chain, replace(SAMPLE, num_images=2, full_size_picture=False, **changes), samples)


@pytest.mark.parametrize("sampler", ["euler", "heun", "multistep", "adaptive"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_flow_that_is_not_finite_publishes_no_samples(chain, tmp_path, sampler, value):
    diverged = replace(chain, diffusion=spoilt(chain.diffusion, tmp_path / "diffusion", value))
    with pytest.raises(QualityGate, match="a drawn image is not finite"):
        draw(diverged, tmp_path / "samples", sampler=sampler)
    assert not (tmp_path / "samples").exists()


def test_an_autoencoder_that_is_not_finite_publishes_no_samples(chain, tmp_path):
    autoencoder = spoilt(chain.autoencoder, tmp_path / "autoencoder", torch.nan)
    shutil.copytree(chain.diffusion, tmp_path / "diffusion")
    record = json.loads((chain.diffusion / "config.json").read_text())
    record["autoencoder_sha256"] = sha256_of(autoencoder / "model.safetensors")
    (tmp_path / "diffusion" / "config.json").write_text(json.dumps(record))
    diverged = replace(chain, autoencoder=autoencoder, diffusion=tmp_path / "diffusion")
    with pytest.raises(QualityGate, match="a drawn image is not finite"):
        draw(diverged, tmp_path / "samples")
