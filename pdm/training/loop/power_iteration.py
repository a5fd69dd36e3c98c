"""The power iteration of all spectral norms of a network at once, outside autograd."""

import math

import torch
from torch import Tensor, nn

from pdm.models.spectral_norm import (
    EPSILON,
    as_matrix,
    norms_and_weights,
    reorder,
    spectral_weights,
)


class SpectralNorms:
    """Singular vectors of all weights of a network under spectral norm, for a training loop.

    Layers then use the norms of the last `iterate`, also where their activations are recomputed.

    Args:
        network: On its device; parameters must not be replaced afterwards.
        held: The network, or its part whose layers run once a pass. Layers outside of it iterate by
            themselves.
    """

    def __init__(self, network: nn.Module, held: nn.Module) -> None:
        self.weights: list[Tensor] = [*spectral_weights(network)]
        lengths = [math.sqrt(len(weight) / 3) for weight in self.weights]
        self._lengths = torch.tensor(lengths, device=next(network.parameters()).device)
        self._held: list[Tensor] = [*spectral_weights(held)]
        if not self._held:
            return
        norms, weights = [norm for norm, _ in norms_and_weights(held)], self._held
        self._values = weights[0].new_ones(len(weights))
        self._left = _Vectors([norm._u for norm in norms], [torch.arange(len(w)) for w in weights])
        orders = (reorder(torch.arange(len(n._v)), w) for n, w in zip(norms, weights, strict=True))
        self._right = _Vectors([norm._v for norm in norms], [order.flatten() for order in orders])
        numbers = zip(norms, self._values, self._left.parts, self._right.parts, strict=True)
        for norm, value, left, right in numbers:
            norm.held = value, left, right

    @torch.no_grad()
    def iterate(self) -> None:
        """Take one step of the power iteration for all weights, and keep the norms."""
        if not self._held:
            return
        matrices = [as_matrix(weight) for weight in self._held]
        self._right.load()
        products = zip(matrices, self._right.parts, strict=True)
        self._left.store([torch.mv(matrix, right) for matrix, right in products])
        products = zip(matrices, self._left.parts, strict=True)
        norms = self._right.store([torch.mv(matrix.T, left) for matrix, left in products])
        self._values.copy_(norms)

    @torch.no_grad()
    def rescale(self) -> None:
        """Do what `rescale_spectral_weights` does, with fewer launches."""
        if not self.weights:
            return
        lengths = torch.stack(torch._foreach_norm(self.weights))
        factors = self._lengths / lengths.clamp_min_(EPSILON)
        torch._foreach_mul_(self.weights, factors.unbind())


class _Vectors:
    """One vector for each weight, concatenated.

    Args:
        buffers: The vectors as a checkpoint has them.
        orders: For each, the indices that bring it into memory order.

    Attributes:
        parts: The vectors in memory order; views, updated in place.
    """

    def __init__(self, buffers: list[Tensor], orders: list[Tensor]) -> None:
        device, self._buffers = buffers[0].device, buffers
        self._lengths = [len(order) for order in orders]
        starts = [sum(self._lengths[:index]) for index in range(len(orders))]
        order = torch.cat([each + start for each, start in zip(orders, starts, strict=True)])
        owners = torch.cat([torch.full_like(each, k) for k, each in enumerate(orders)])
        self._order, self._inverse = order.to(device), order.argsort().to(device)
        self._owners = owners.to(device)  # of each value, the number of its vector
        self._values = buffers[0].new_empty(len(order))
        self.parts = torch.split(self._values, self._lengths)

    def load(self) -> None:
        """Read the buffers."""
        torch.index_select(torch.cat(self._buffers), 0, self._order, out=self._values)

    def store(self, vectors: list[Tensor]) -> Tensor:
        """Normalise vectors in memory order, keep them, and give their lengths."""
        lengths = torch.stack(torch._foreach_norm(vectors)).clamp_min_(EPSILON)
        torch.div(torch.cat(vectors), lengths[self._owners], out=self._values)
        kept = self._values.index_select(0, self._inverse)
        torch._foreach_copy_(self._buffers, torch.split(kept, self._lengths))
        return lengths
