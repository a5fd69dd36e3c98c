"""The power iteration and the division of all spectral norms of a network at once.

Weights of one shape lie side by side in memory, so that one kernel does for all of them what would
be one for each.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from pdm.models.spectral_norm import (
    EPSILON,
    SpectralNorm,
    as_matrix,
    divide_weights,
    multiply_at_once,
    multiply_one_by_one,
    norms_and_weights,
    reorder,
)


class SpectralNorms:
    """All weights of a network under spectral norm, for a training loop.

    From `iterate` to `release`, layers use the weights that `iterate` has divided. Call `release`
    after the forward pass, or after the backward pass if that recomputes activations. A backward
    pass needs an `iterate` of its own.

    Args:
        network: On its device and in its layout; parameters must not be replaced afterwards.
        held: The network, or its part whose layers run once a pass. Layers outside of it iterate by
            themselves.
    """

    def __init__(self, network: nn.Module, held: nn.Module) -> None:
        inside = {id(weight) for _, weight in norms_and_weights(held)}
        pairs = list(norms_and_weights(network))
        self._held = _stacks([pair for pair in pairs if id(pair[1]) in inside])
        self._others = _stacks([pair for pair in pairs if id(pair[1]) not in inside])
        stacks = [*self._held, *self._others]
        lengths = [math.sqrt(len(weight) / 3) for stack in stacks for weight in stack.weights]
        self._lengths = torch.tensor(lengths, device=next(network.parameters()).device)
        if not self._held:
            return
        norms = [norm for stack in self._held for norm in stack.norms]
        weights = [weight for stack in self._held for weight in stack.weights]
        self._left = _Vectors([norm._u for norm in norms], [torch.arange(len(w)) for w in weights])
        orders = (reorder(torch.arange(len(n._v)), w) for n, w in zip(norms, weights, strict=True))
        self._right = _Vectors([norm._v for norm in norms], [order.flatten() for order in orders])
        ends = list(accumulate((len(stack.norms) for stack in self._held), initial=0))
        self._places = [slice(*pair) for pair in pairwise(ends)]

    def iterate(self) -> None:
        """Take one step of the power iteration for all weights, and divide them."""
        if not self._held:
            return
        with torch.no_grad():
            self._right.load()
            self._left.store(self._products(self._right, transposed=False))
            lengths = self._right.store(self._products(self._left, transposed=True))
        for stack, place in zip(self._held, self._places, strict=True):
            stack.divide(lengths[place], self._left.rows(place), self._right.rows(place))

    def release(self) -> None:
        """Let each layer iterate and divide by itself again. A graph keeps the divided weights only
        as long as its backward pass needs them, so they give way to the gradients."""
        for stack in self._held:
            stack.free()

    def _products(self, vectors: "_Vectors", *, transposed: bool) -> list[Tensor]:
        return [
            product
            for stack, place in zip(self._held, self._places, strict=True)
            for product in stack.times(vectors.rows(place), transposed=transposed)
        ]

    @torch.no_grad()
    def rescale(self) -> None:
        """Do what `rescale_spectral_weights` does, for a shape at a time; `release`, too."""
        self.release()
        stacks = [*self._held, *self._others]
        if not stacks:
            return
        weights: list[Tensor] = [weight for stack in stacks for weight in stack.weights]
        lengths = torch.stack(torch._foreach_norm(weights)).clamp_min_(EPSILON)
        counts = [len(stack.weights) for stack in stacks]
        factors = torch.split(self._lengths / lengths, counts)
        for stack, part in zip(stacks, factors, strict=True):
            stack.matrices.mul_(part[:, None, None])


class _Stack:
    """Weights of one shape and layout, side by side in memory from here on."""

    def __init__(self, pairs: Sequence[tuple[SpectralNorm, nn.Parameter]]) -> None:
        self.norms = [norm for norm, _ in pairs]
        self.weights = [weight for _, weight in pairs]
        self.matrices = torch.stack([as_matrix(weight.detach()) for weight in self.weights])
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            place = matrix.storage_offset()
            weight.data = matrix.as_strided(weight.shape, weight.stride(), place)

    def times(self, vectors: Tensor, *, transposed: bool) -> Sequence[Tensor]:
        """Multiply each matrix, or each transposed one, with its vector."""
        matrices = self.matrices.mT if transposed else self.matrices
        on_cpu = matrices.device.type == "cpu"
        return (multiply_one_by_one if on_cpu else multiply_at_once)(matrices, vectors).unbind()

    def divide(self, norms: Tensor, left: Tensor, right: Tensor) -> None:
        """Let the layers use the divided weights."""
        divided = divide_weights(self.matrices, norms, left, right, self.weights)
        for norm, weight in zip(self.norms, divided, strict=True):
            norm.held = weight

    def free(self) -> None:
        """Let each layer iterate and divide by itself again."""
        for norm in self.norms:
            norm.held = None


def _stacks(pairs: Sequence[tuple[SpectralNorm, nn.Parameter]]) -> list[_Stack]:
    """Group weights by shape and layout."""
    groups: dict[tuple[torch.Size, tuple[int, ...]], list[tuple[SpectralNorm, nn.Parameter]]] = {}
    for norm, weight in pairs:
        groups.setdefault((weight.shape, weight.stride()), []).append((norm, weight))
    return [_Stack(group) for group in groups.values()]


class _Vectors:
    """One vector for each weight, concatenated.

    Args:
        buffers: The vectors as a checkpoint has them.
        orders: For each, the indices that bring it into memory order.
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
        self._ends = list(accumulate(self._lengths, initial=0))

    def rows(self, place: slice) -> Tensor:
        """Vectors of one length, (K, length), in memory order: a view."""
        start, stop, length = place.start, place.stop, self._lengths[place.start]
        return self._values[self._ends[start] : self._ends[stop]].view(stop - start, length)

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
