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

INITIAL_ITERATIONS = 15  # as in torch
SETTLING_ITERATIONS = 64  # within a hundredth, also where the two largest values are close
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
        """Give the weight as it is."""
        return weight

    def __getstate__(self) -> dict[str, Any]:
        """Give the attributes of a copy: no training loop divides its weight."""
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


class _Division(torch.autograd.Function):
    """W / norm, where norm = u^T W v and so d norm / d W = u v^T, for weights of one shape."""

    @staticmethod
    def forward(
        ctx: Any,
        divided: Tensor,
        matrices: Tensor,
        norms: Tensor,
        left: Tensor,
        right: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(matrices, norms, left, right)
        ctx.pattern = weights[0]
        return tuple(as_weight(matrix, weights[0]) for matrix in divided)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        matrices, norms, left, right = ctx.saved_tensors
        layout = torch.channels_last if _is_channels_last(ctx.pattern) else torch.contiguous_format
        rows = [as_matrix(gradient.contiguous(memory_format=layout)) for gradient in gradients]
        find = gradients_one_by_one if matrices.device.type == "cpu" else gradients_at_once
        found = find(rows, matrices, norms, left, right)
        return (*(None,) * 5, *(as_weight(matrix, ctx.pattern) for matrix in found))


def gradients_at_once(
    rows: Sequence[Tensor], matrices: Tensor, norms: Tensor, left: Tensor, right: Tensor
) -> Sequence[Tensor]:
    """Gradients of K weights from those of the divided weights, in few launches.

    Args:
        rows: (outputs, columns) each, also in a lower precision.
        matrices, norms, left, right: As for `with_gradients`.

    Returns:
        (outputs, columns) for each weight, in its precision.
    """
    stacked = torch.stack(list(rows)) if len(rows) > 1 else rows[0][None]
    found = stacked / norms[:, None, None]
    along = torch.bmm(matrices.flatten(1)[:, None], found.flatten(1)[:, :, None])
    return found.baddbmm_(left[:, :, None] * along, right[:, None], alpha=-1).unbind()


def gradients_one_by_one(
    rows: Sequence[Tensor], matrices: Tensor, norms: Tensor, left: Tensor, right: Tensor
) -> Sequence[Tensor]:
    """Do what `gradients_at_once` does; on a CPU in a fraction of the time."""
    scaled = [row.to(norms.dtype) / norm for row, norm in zip(rows, norms, strict=True)]
    return [
        row.addr_(u * torch.dot(row.flatten(), matrix.flatten()), v, alpha=-1)
        for row, matrix, u, v in zip(scaled, matrices, left, right, strict=True)
    ]


def multiply_at_once(matrices: Tensor, vectors: Tensor, products: Tensor) -> None:
    """Multiply matrices (K, M, N) with vectors (K, N) in one launch, and put the result into
    `products` (K, M)."""
    torch.bmm(matrices, vectors[:, :, None], out=products[:, :, None])


def multiply_one_by_one(matrices: Tensor, vectors: Tensor, products: Tensor) -> None:
    """Do what `multiply_at_once` does; on a CPU ten times as fast."""
    for matrix, vector, product in zip(matrices, vectors, products, strict=True):
        torch.mv(matrix, vector, out=product)


def with_gradients(
    divided: Tensor,
    matrices: Tensor,
    norms: Tensor,
    left: Tensor,
    right: Tensor,
    weights: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Let gradients flow from weights that are divided by their spectral norms to the weights.

    Args:
        divided: (K, outputs, columns), `as_matrix` of each weight, divided; of any precision.
        matrices: (K, outputs, columns), these or the weights, in the weights' precision.
        norms: (K,).
        left: (K, outputs), the vectors u; divided by the norms if `matrices` are not.
        right: (K, columns), the vectors v, in memory order.
        weights: K weights of one shape and layout, which get the gradients.

    Returns:
        Each weight divided, in its own shape.
    """
    found: tuple[Tensor, ...] = _Division.apply(  # type: ignore[no-untyped-call]
        divided, matrices, norms, left, right, *weights
    )
    return found


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
    """Give the weights under spectral norm; their own scale has no effect."""
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


def _is_channels_last(weight: Tensor) -> bool:
    return not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last)


def as_matrix(weight: Tensor) -> Tensor:
    """(outputs, inputs * h * w), with the columns in memory order: a view."""
    return (weight.permute(0, 2, 3, 1) if _is_channels_last(weight) else weight).flatten(1)


def as_weight(matrix: Tensor, pattern: Tensor) -> Tensor:
    """Undo `as_matrix`, for a weight of this shape and layout."""
    if not _is_channels_last(pattern):
        return matrix.view(pattern.shape)
    outputs, inputs, height, width = pattern.shape
    return matrix.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def reorder(vector: Tensor, weight: Tensor) -> Tensor:
    """Give v with its values in the order of the columns of `as_matrix`: a view, of any shape."""
    if not _is_channels_last(weight):
        return vector
    return vector.view(weight.shape[1:]).permute(1, 2, 0)
