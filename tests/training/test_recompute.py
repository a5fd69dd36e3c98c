import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from pdm.training.loop.activation_checkpointing import blocks_of, checkpoint_activations


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.dropout = nn.Dropout(0.5)
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, features):
        return features + self.second(self.dropout(F.silu(self.first(features))))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(Block(), nn.SiLU()), Block())


def gradients(model):
    torch.manual_seed(1)
    for _ in range(2):
        model(torch.randn(2, 3, 16, 16)).square().mean().backward()
    return [weight.grad for weight in model.parameters()]


def kept_by(model) -> int:
    """Numbers that wait for the way back."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        model(torch.randn(2, 3, 16, 16))
    return sum(sizes)


def test_blocks_are_the_smallest_parts_with_several_convolutions():
    model = network()
    assert blocks_of(model) == [model[1][0], model[2]]


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
    assert kept_by(forgetful) < 0.5 * kept_by(plain)
