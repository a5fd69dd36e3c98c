"""Muon and AdamW in one optimizer. Muon orthogonalises the momentum of weight matrices.

The momentum of a matrix is replaced by the nearest orthogonal matrix (Jordan et al. 2024,
kellerjordan.github.io/posts/muon). Convolution kernels are flattened to (outputs, rest). Updates
are scaled as in arXiv:2502.16982, section 2.2, to the size of AdamW's, so both share learning rate
and weight decay. Biases, gains, and matrices with a narrow side (the first and last layers of a
network) are left to AdamW.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from pdm.training.distributed.sharded import full_tensor, local_tensor, shard_like

MOMENTUM = 0.95
MIN_SIDE = 16  # smallest side of a matrix that is orthogonalised
# The quintic x -> a x + b x^3 + c x^5, applied five times, brings singular values to 0.7 to 1.2.
STEPS, FACTORS = 5, (3.4445, -4.7750, 2.0315)
UPDATE_RMS = 0.2  # typical root mean square of AdamW's updates (arXiv:2502.16982)


def is_matrix(weight: nn.Parameter) -> bool:
    """Whether Muon can update the weight."""
    # Not weight[0].numel(), which gathers a sharded weight from all workers.
    return weight.ndim >= 2 and min(len(weight), weight.numel() // len(weight)) >= MIN_SIDE


class Muon(torch.optim.AdamW):
    """AdamW that updates the matrices of some groups by Muon. Takes the arguments of AdamW.

    A group asks for Muon by its entry `orthogonal`. A step with the attribute `found_inf` 1 changes
    nothing, as with torch's fused optimizers.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state. AdamW's own method expects its moments for every weight."""
        torch.optim.Optimizer.__setstate__(self, state)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step; weights without a gradient stay as they are."""
        for group in (group for group in self.param_groups if group["orthogonal"]):
            for weight in group["params"]:
                if weight.grad is not None and is_matrix(weight):
                    self._move(weight, group["lr"], group["weight_decay"])
                    weight.grad = None  # so that AdamW skips it
        super().step(closure)

    def _move(self, weight: nn.Parameter, rate: float, decay: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        gradient, momentum = weight.grad, state["momentum"]
        assert gradient is not None
        skip = getattr(self, "found_inf", None)
        before = None if skip is None else (weight.clone(), momentum.clone())
        momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = full_tensor(gradient.lerp(momentum, MOMENTUM))  # Nesterov momentum
        direction = orthogonalise(ahead.flatten(1)).view(ahead.shape).to(weight.dtype)
        size = UPDATE_RMS * math.sqrt(max(ahead.shape[0], ahead[0].numel()))
        weight.mul_(1 - rate * decay).add_(shard_like(weight, direction), alpha=-rate * size)
        if skip is not None and before is not None:
            for now, earlier in zip((weight, momentum), before, strict=True):
                _select(local_tensor(now), local_tensor(earlier), skip)


def _select(now: Tensor, earlier: Tensor, skip: Tensor) -> None:
    """Take earlier values back where `skip` is 1; values now may be NaN."""
    torch.where(skip.bool(), earlier, now, out=now)


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring all singular values of a matrix near one, by five steps of a Newton-Schulz iteration.

    It consists of matrix products only. On a GPU they are taken in bfloat16, which is fast there.

    On the CPU, where it is not, they are taken in float32, and on the Gram matrix: each step
    multiplies the matrix from the left by a polynomial of it, so the steps are composed on that
    small square, and the wide matrix is multiplied twice in place of ten times. (Singular values
    below a thousandth of the largest would be lost in the Gram matrix in bfloat16.)

    Args:
        matrix: (rows, columns), of any scale.

    Returns:
        (rows, columns), in bfloat16 on a GPU, in float32 on the CPU.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if tall else matrix
    wide = wide.bfloat16() if matrix.is_cuda else wide.float()
    wide = wide / wide.norm().clamp(min=1e-7)
    result = _iterate(wide) if matrix.is_cuda else _gram_iteration(wide) @ wide
    return result.T if tall else result


def _iterate(x: Tensor) -> Tensor:
    first, second, third = FACTORS
    for _ in range(STEPS):
        gram = x @ x.T
        factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        x = torch.addmm(x, factor, x, beta=first)
    return x


def _gram_iteration(x: Tensor) -> Tensor:
    """Compose the steps: the matrix (rows, rows) that takes x to the result of `_iterate`."""
    first, second, third = FACTORS
    gram, whole = x @ x.T, None
    for step in range(STEPS):
        factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        factor.diagonal().add_(first)
        whole = factor if whole is None else factor @ whole
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    assert whole is not None
    return whole
