"""The division of weights by their spectral norms, with its gradients, for one weight or many.

A weight is seen as the matrix of its outputs and columns, in memory order, so that one in
channels_last layout is not copied. What is computed for many weights at once takes few launches,
for GPUs; on a CPU one after the other is faster.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


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
    """Return v with its values in the order of the columns of `as_matrix`: a view, of any shape."""
    if not _is_channels_last(weight):
        return vector
    return vector.view(weight.shape[1:]).permute(1, 2, 0)


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
        on_cpu = matrices.device.type == "cpu"
        compute = gradients_one_by_one if on_cpu else gradients_at_once
        of_weights = compute(rows, matrices, norms, left, right)
        return (*(None,) * 5, *(as_weight(matrix, ctx.pattern) for matrix in of_weights))


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
    scaled = stacked / norms[:, None, None]
    along = torch.bmm(matrices.flatten(1)[:, None], scaled.flatten(1)[:, :, None])
    return scaled.baddbmm_(left[:, :, None] * along, right[:, None], alpha=-1).unbind()


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
    results: tuple[Tensor, ...] = _Division.apply(  # type: ignore[no-untyped-call]
        divided, matrices, norms, left, right, *weights
    )
    return results
