"""The power iteration and the division of all spectral norms of a network at once.

All weights under spectral norm lie in one array, those of one shape side by side, so that one
kernel does for all of them what would be one for each.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from pdm.models.layers.spectral_division import (
    as_matrix,
    multiply_at_once,
    multiply_one_by_one,
    reorder,
    with_gradients,
)
from pdm.models.layers.spectral_norm import EPSILON, SpectralNorm, norms_and_weights

ROW = 1024  # values; each weight begins at a multiple, and zeros fill its last row


class SpectralNorms:
    """All weights of a network under spectral norm, for a training loop.

    From `iterate` to `release`, layers use the weights that `iterate` has divided. Call `release`
    after the forward pass, or after the backward pass if that recomputes activations. A backward
    pass needs an `iterate` of its own.

    Args:
        network: On its device and in its layout; parameters must not be replaced afterwards.
        held: The network, or its part whose layers run once a pass. Layers outside of it iterate by
            themselves.
        dtype: Precision of the divided weights. That of the pass spares it a copy of each weight,
            and one of each gradient. None for the weights' own.
    """

    def __init__(
        self, network: nn.Module, held: nn.Module, dtype: torch.dtype | None = None
    ) -> None:
        inside = {id(weight) for _, weight in norms_and_weights(held)}
        pairs = list(norms_and_weights(network))
        self._held = _stacks([pair for pair in pairs if id(pair[1]) in inside])
        others = _stacks([pair for pair in pairs if id(pair[1]) not in inside])
        self.rows = Rows([*self._held, *others]) if pairs else None
        self._dtype = dtype
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
            self._multiply(self._right, self._left, transposed=False)
            self._left.store()
            self._multiply(self._left, self._right, transposed=True)
            lengths = self._right.store()
            scaled = self._left.divide(lengths)
        for stack, place in zip(self._held, self._places, strict=True):
            left, right = self._left.rows(place, scaled), self._right.rows(place)
            stack.divide(lengths[place], left, right, self._dtype)

    def release(self) -> None:
        """Let each layer iterate and divide by itself again. A graph keeps the divided weights only
        as long as its backward pass needs them, so they give way to the gradients."""
        for stack in self._held:
            stack.free()

    def _multiply(self, vectors: "_Vectors", result: "_Vectors", *, transposed: bool) -> None:
        for stack, place in zip(self._held, self._places, strict=True):
            products = result.rows(place, result.products)
            stack.multiply(vectors.rows(place), products, transposed=transposed)

    def rescale(self) -> None:
        """Do what `rescale_spectral_weights` does, for all weights at once; `release`, too."""
        self.release()
        if self.rows is not None:
            self.rows.rescale()


class _Stack:
    """Weights of one shape and layout, side by side in an array."""

    def __init__(self, pairs: Sequence[tuple[SpectralNorm, nn.Parameter]]) -> None:
        self.norms = [norm for norm, _ in pairs]
        self.weights = [weight for _, weight in pairs]
        self.shape = as_matrix(self.weights[0].detach()).shape

    @property
    def num_rows(self) -> int:
        """Rows of `ROW` values for each weight."""
        return -(-self.shape.numel() // ROW)

    def move_to(self, rows: Tensor) -> None:
        """Keep the weights in these rows (K * num_rows, ROW) of zeros from here on."""
        values = rows.view(len(self.weights), -1)[:, : self.shape.numel()]
        self.matrices = values.view(-1, *self.shape)
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            matrix.copy_(as_matrix(weight.detach()))
            place = matrix.storage_offset()
            weight.data = matrix.as_strided(weight.shape, weight.stride(), place)

    def multiply(self, vectors: Tensor, products: Tensor, *, transposed: bool) -> None:
        """Multiply each matrix, or each transposed one, with its vector."""
        matrices = self.matrices.mT if transposed else self.matrices
        on_cpu = matrices.device.type == "cpu"
        (multiply_one_by_one if on_cpu else multiply_at_once)(matrices, vectors, products)

    def divide(self, norms: Tensor, left: Tensor, right: Tensor, dtype: torch.dtype | None) -> None:
        """Let the layers use the divided weights; `left` are the vectors u divided by the norms."""
        matrices = self.matrices
        divided = torch.empty(matrices.shape, dtype=dtype or matrices.dtype, device=matrices.device)
        torch.div(matrices, norms[:, None, None], out=divided)  # converts in the same kernel
        found = with_gradients(divided, matrices, norms, left, right, self.weights)
        for norm, weight in zip(self.norms, found, strict=True):
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


class Rows:
    """The array that holds the weights of all stacks, as rows which belong to one weight each.

    Attributes:
        values: (rows, `ROW`).
        weights: In the order of their rows.
    """

    def __init__(self, stacks: Sequence[_Stack]) -> None:
        counts = [stack.num_rows for stack in stacks for _ in stack.weights]
        self.weights = [weight for stack in stacks for weight in stack.weights]
        self.values = self.weights[0].new_zeros(sum(counts), ROW, requires_grad=False)
        device, self._counts = self.values.device, counts
        sizes = [stack.num_rows * len(stack.weights) for stack in stacks]
        parts = torch.split(self.values, sizes)
        for stack, part in zip(stacks, parts, strict=True):
            stack.move_to(part)
        lengths = [math.sqrt(len(weight) / 3) for weight in self.weights]
        self._lengths = torch.tensor(lengths, dtype=self.values.dtype, device=device)
        owners = torch.repeat_interleave(torch.tensor(counts), output_size=sum(counts))
        self._owners = owners.to(device)  # of each row, the number of its weight

    @torch.no_grad()
    def rescale(self) -> None:
        """Bring each weight to its initial length."""
        of_rows = torch.split(torch.linalg.vector_norm(self.values, dim=1), self._counts)
        lengths = torch.stack(torch._foreach_norm(of_rows)).clamp_min_(EPSILON)
        factors = (self._lengths / lengths).index_select(0, self._owners)
        self.values.mul_(factors[:, None])

    @torch.no_grad()
    def lay_out_alike(self, copies: Sequence[Tensor]) -> Tensor:
        """Move copies of the weights, in their order, to an array with the same places; give it."""
        array = torch.zeros_like(self.values)
        for weight, copy in zip(self.weights, copies, strict=True):
            place = array.as_strided(weight.shape, weight.stride(), weight.storage_offset())
            copy.data = place.copy_(copy)
        return array


class _Vectors:
    """One vector for each weight, concatenated.

    Args:
        buffers: The vectors as a checkpoint has them; they become parts of one array.
        orders: For each, the indices that bring it into memory order.

    Attributes:
        products: Of the matrices with the other vectors, for `store`.
    """

    def __init__(self, buffers: list[Tensor], orders: list[Tensor]) -> None:
        self._kept, device = torch.cat(buffers), buffers[0].device
        self._lengths = [len(order) for order in orders]
        for buffer, part in zip(buffers, torch.split(self._kept, self._lengths), strict=True):
            buffer.data = part
        starts = [sum(self._lengths[:index]) for index in range(len(orders))]
        order = torch.cat([each + start for each, start in zip(orders, starts, strict=True)])
        owners = torch.cat([torch.full_like(each, k) for k, each in enumerate(orders)])
        self._order, self._inverse = order.to(device), order.argsort().to(device)
        self._owners = owners.to(device)  # of each value, the number of its vector
        self._values, self.products = (buffers[0].new_empty(len(order)) for _ in range(2))
        self._ends = list(accumulate(self._lengths, initial=0))

    def rows(self, place: slice, values: Tensor | None = None) -> Tensor:
        """Vectors of one length, (K, length), in memory order: a view of all values, or of others
        in their order."""
        start, stop, length = place.start, place.stop, self._lengths[place.start]
        whole = self._values if values is None else values
        return whole[self._ends[start] : self._ends[stop]].view(stop - start, length)

    def divide(self, numbers: Tensor) -> Tensor:
        """Divide each vector by its number."""
        return self._values / numbers[self._owners]

    def load(self) -> None:
        """Read the buffers."""
        torch.index_select(self._kept, 0, self._order, out=self._values)

    def store(self) -> Tensor:
        """Normalise the products, keep them, and give their lengths."""
        vectors = torch.split(self.products, self._lengths)
        lengths = torch.stack(torch._foreach_norm(vectors)).clamp_min_(EPSILON)
        torch.div(self.products, lengths[self._owners], out=self._values)
        torch.index_select(self._values, 0, self._inverse, out=self._kept)
        return lengths
