"""Spectral norm: a weight divided by its largest singular value (Miyato et al., arXiv:1802.05957).

One power iteration per training pass follows the singular vectors of each weight. A layer on its
own iterates in every training pass, like torch's `spectral_norm`; names, initialisation and values
are those of torch. A training loop iterates for all layers at once, before a pass and outside
autograd (`pdm.training.loop.power_iteration`). Weights are read in memory order, so that a weight
in channels_last layout is not copied.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from pdm.models.layers.spectral_division import as_matrix, reorder, with_gradients

INITIAL_ITERATIONS = 15  # as in torch
SETTLING_ITERATIONS = 64  # within a hundredth, even where the two largest values are close
EPSILON = 1e-12

Network = TypeVar("Network", bound=nn.Module)


class SpectralNorm(nn.Module):
    """Parametrisation of a weight (outputs, inputs, h, w): divides it by its spectral norm.

    The norm is u^T W v, with estimates u (outputs,) and v (inputs * h * w,) of the singular
    vectors. Gradients flow through the norm, but not through u and v.

    Attributes:
        held: The divided weight, for the present pass, if a training loop divides all at once.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        for name, length in zip(("_u", "_v"), matrix.shape, strict=True):
            vector = F.normalize(matrix.new_empty(length).normal_(), dim=0, eps=EPSILON)
            self.register_buffer(name, vector)
        self.held: Tensor | None = None
        self.iterate(weight, INITIAL_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        """Divide the weight by its norm; same shape."""
        if self.training and self.held is not None:
            return self.held
        if self.training:
            self.iterate(weight)
        # Copies, since a second pass may iterate before the backward pass of this one.
        order = reorder(self._v, weight)
        left, right = self._u.clone(), order.clone(memory_format=torch.contiguous_format).flatten()
        norm = _norm(weight, left, right)
        divided = as_matrix(weight.detach())[None] / norm
        parts = norm[None], left[None], right[None]
        return with_gradients(divided, divided, *parts, [weight])[0]

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight as it is."""
        return weight

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes of a copy: no training loop divides its weight."""
        return self.__dict__ | {"held": None}

    @torch.no_grad()
    def iterate(self, weight: Tensor, count: int = 1) -> None:
        """Take steps of the power iteration."""
        matrix, order = as_matrix(weight), reorder(self._v, weight)
        left, right = self._u, order.flatten()
        for _ in range(count):
            left = F.normalize(torch.mv(matrix, right), dim=0, eps=EPSILON)
            right = F.normalize(torch.mv(matrix.T, left), dim=0, eps=EPSILON)
        self._u.copy_(left)
        order.copy_(right.view(order.shape))


def with_spectral_norm(layer: nn.Conv2d) -> nn.Conv2d:
    """Put the weight of a layer under spectral norm."""
    parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return layer


@torch.no_grad()
def bake_spectral_norms(network: Network) -> Network:
    """Divide every weight by its spectral norm once and for all, for inference.

    Otherwise each evaluation computes all norms again and divides by them. Layers are replaced, not
    changed in place, since copies of a network share their parametrisations. The result cannot be
    trained further.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and parametrize.is_parametrized(layer, "weight"):
                side = layer.kernel_size[0]
                sizes = (layer.in_channels, layer.out_channels, side)
                edges = layer.padding_mode
                plain = nn.Conv2d(*sizes, padding=side // 2, padding_mode=edges)
                plain.weight, plain.bias = nn.Parameter(layer.weight), layer.bias
                setattr(parent, name, plain.train(layer.training))
    return network


def settle_spectral_norms(network: Network) -> Network:
    """Estimate all spectral norms again, after the weights were replaced (by an EMA, say)."""
    for norm, weight in norms_and_weights(network):
        norm.iterate(weight, SETTLING_ITERATIONS)
    return network


def spectral_weights(network: nn.Module) -> list[nn.Parameter]:
    """Return the weights under spectral norm; their own scale has no effect."""
    return [weight for _, weight in norms_and_weights(network)]


@torch.no_grad()
def rescale_spectral_weights(weights: Sequence[nn.Parameter]) -> None:
    """Rescale weights under spectral norm to the Frobenius norm that they have on initialisation.

    The network's output stays the same. But a gradient is orthogonal to a weight whose scale has no
    effect, so every step makes the weight longer, and the same learning rate turns it less and
    less: an unintended decay of the learning rate. Karras et al. (arXiv:2312.02696, section 2.3)
    fix norms for that reason.

    Args:
        weights: (outputs, inputs, h, w) each, as `spectral_weights` gives them.
    """
    for weight in weights:
        norm = torch.linalg.vector_norm(weight)
        weight.mul_(math.sqrt(len(weight) / 3) / norm.clamp_min(EPSILON))


def norms_and_weights(network: nn.Module) -> Iterator[tuple[SpectralNorm, nn.Parameter]]:
    """Yield the parametrisations, each with the weight that it divides."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and parametrize.is_parametrized(module, "weight"):
            found = cast(nn.ModuleDict, module.parametrizations)["weight"]
            norm = cast(nn.ModuleList, found)[0]
            if isinstance(norm, SpectralNorm):
                yield norm, cast(nn.Parameter, found.original)


def _norm(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """u^T W v, in the precision of the weight also under autocast; v is in memory order."""
    kind = weight.device.type
    with torch.no_grad(), torch.autocast("cpu" if kind == "meta" else kind, enabled=False):
        return torch.dot(left, torch.mv(as_matrix(weight), right))
