"""Low-rank adaptation (LoRA; Hu et al., arXiv:2106.09685): W + scale * B A, of which A and B train.

A is (rank, inputs * h * w) with PyTorch's initialisation of a layer, B is (outputs, rank) of zeros:
at first the network is as before. An adapter is a parametrisation of the weight, so it fits linear
layers and convolutions alike, and a merged network computes with the same weight, to rounding.
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.utils import parametrize

from pdm.models.layers.basic import without_autocast

# As the layers of the pyramid UNet and of diffusers' networks are called: queries, keys, values and
# outputs of attention over pixels, channels and tokens.
ATTENTION_LAYERS = (
    *("query_key_value", "query", "key_value", "projection"),
    *("to_q", "to_k", "to_v", "to_out.0"),
)
ADAPTER = ".parametrizations.weight.0"  # after a layer's name, in a state dict
ORIGINAL = ".parametrizations.weight.original"


class LowRank(nn.Module):
    """Parametrisation of a weight (outputs, inputs, ...): adds scale * B A."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.down = nn.Parameter(matrix.new_empty(rank, matrix.shape[1]))
        self.up = nn.Parameter(matrix.new_zeros(matrix.shape[0], rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its adapter; same shape."""
        with without_autocast(weight.device):  # weights stay float32, as a merged one does
            return add_product(weight, self.up, self.down, self.scale)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight as it is."""
        return weight


def add_product(weight: Tensor, up: Tensor, down: Tensor, scale: float) -> Tensor:
    """Return weight + scale * up @ down, in the weight's shape."""
    return weight + scale * (up @ down).view(weight.shape)


def find_layers(network: nn.Module, targets: Sequence[str]) -> dict[str, nn.Module]:
    """Find those linear layers and convolutions, by name, whose names end in one of the targets,
    as in the package peft.

    Raises:
        ValueError: A target is not the end of the name of such a layer.
    """
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    chosen: dict[str, nn.Module] = {}
    for target in targets:
        found = {name: one for name, one in layers.items() if f".{name}".endswith(f".{target}")}
        if not found:
            raise ValueError(f"no linear layer or convolution has a name that ends in {target!r}")
        chosen |= found
    return chosen


def full_rank(layer: nn.Module) -> int:
    """Return the largest rank that the weight of a layer can have, as a matrix (outputs, rest)."""
    return min(_weight_of(layer).flatten(1).shape)


def add_adapters(network: nn.Module, rank: int, scale: float, targets: Sequence[str]) -> list[str]:
    """Freeze a network, and add adapters to some of its linear layers and convolutions.

    Args:
        network: Without other parametrisations, such as spectral norms.
        rank: Of each adapter.
        scale: Factor of each product.
        targets: See `find_layers`.

    Returns:
        The names of the adapted layers.

    Raises:
        ValueError: A target is not the end of the name of such a layer.
    """
    chosen = find_layers(network, targets)
    network.requires_grad_(False)
    for layer in chosen.values():
        adapter = LowRank(_weight_of(layer), rank, scale)
        parametrize.register_parametrization(layer, "weight", adapter)
    return list(chosen)


def _weight_of(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def merge_adapters(tensors: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return the state dict of the network without adapters that computes the same.

    Args:
        tensors: State dict of a network with adapters, or its parameters alone.
        scale: Factor of each product.
    """
    merged: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer = name.removesuffix(ORIGINAL)
        if layer != name:
            up, down = (tensors[f"{layer}{ADAPTER}.{part}"].float() for part in ("up", "down"))
            merged[f"{layer}.weight"] = add_product(tensor.float(), up, down, scale)
        elif ADAPTER not in name:
            merged[name] = tensor
    return merged


def factors_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """List the factors A and B of a state dict, by the layer's name, in the shapes of layers.

    Of a convolution, A is (rank, inputs, h, w) and B is (outputs, rank, 1, 1).
    """
    found = {}
    for name, weight in tensors.items():
        layer = name.removesuffix(ORIGINAL)
        if layer != name:
            up, down = (tensors[f"{layer}{ADAPTER}.{part}"] for part in ("up", "down"))
            ones = (1,) * (weight.ndim - 2)
            found[layer] = (
                down.reshape(len(down), *weight.shape[1:]),
                up.reshape(*up.shape, *ones),
            )
    return found
