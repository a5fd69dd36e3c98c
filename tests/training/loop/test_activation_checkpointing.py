import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pdm import params
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.models.layers.spectral_norm import with_spectral_norm
from pdm.registry import build_autoencoder, build_denoiser
from pdm.training.loop.activation_checkpointing import blocks_of, checkpoint_activations


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = with_spectral_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.dropout = nn.Dropout(0.5)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, features):
        return features + self.second(self.dropout(F.silu(self.first(features))))


class Network(nn.Sequential):
    block_types = (Block,)


def network() -> Network:
    torch.manual_seed(0)
    return Network(nn.Conv2d(3, 8, 3), nn.Sequential(Block(), nn.SiLU()), Block())


def gradients(model):
    torch.manual_seed(1)
    for _ in range(2):
        model(torch.randn(2, 3, 16, 16)).square().mean().backward()
    return [weight.grad for weight in model.parameters()]


def saved_activations(model) -> int:
    """Numbers that wait for the way back."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        model(torch.randn(2, 3, 16, 16))
    return sum(sizes)


def test_blocks_are_what_the_network_declares():
    model = network()
    assert blocks_of(model) == [model[1][0], model[2]]
    with pytest.raises(ValueError, match="Sequential declares no block_types"):
        blocks_of(nn.Sequential(Block()))


def real_networks():
    values = params.load(Path("params.yaml"))
    first_stage = FirstStageConfig(
        name="kl-f8", base_width=32, latent_scale="scalar", latent_weight=1e-6
    )
    unet = LatentUNetConfig(name="celeba", base_width=32, predicts="velocity")
    pyramid = build_autoencoder(values.autoencoder)
    return {
        "pyramid autoencoder": pyramid,
        "pyramid unet": build_denoiser(
            values.diffusion, pyramid.level_channels, pyramid.level_downsamplings
        ),
        "ldm first stage": build_autoencoder(replace(values.autoencoder, baseline=first_stage)),
        "ldm unet": build_denoiser(replace(values.diffusion, baseline=unet), (4,), (8,)),
    }


@pytest.mark.parametrize(
    "name", ["pyramid autoencoder", "pyramid unet", "ldm first stage", "ldm unet"]
)
def test_every_network_declares_blocks_that_hold_nearly_all_of_its_weights(name):
    model = real_networks()[name]
    blocks = blocks_of(model)
    for block in blocks:
        assert not any(part in blocks for part in block.modules() if part is not block)
    share = sum(w.numel() for block in blocks for w in block.parameters())
    assert share > 0.8 * sum(w.numel() for w in model.parameters())


def test_gradients_and_norms_are_the_same_to_the_bit():
    plain = network()
    forgetful = copy.deepcopy(plain)
    checkpoint_activations(forgetful)
    for one, other in zip(gradients(plain), gradients(forgetful), strict=True):
        assert torch.equal(one, other)
    for name, buffer in plain.named_buffers():
        assert torch.equal(buffer, forgetful.get_buffer(name)), name


def test_what_happened_within_a_block_is_forgotten():
    plain = network()
    forgetful = copy.deepcopy(plain)
    checkpoint_activations(forgetful)
    assert saved_activations(forgetful) < 0.5 * saved_activations(plain)
