"""Muon beside AdamW, in one optimizer: momentum whose every direction is made equally strong.

A matrix's momentum is replaced by the nearest orthogonal matrix (Jordan et al. 2024,
kellerjordan.github.io/posts/muon), a convolution's kernel taken as a matrix of its outputs by all
else. Scaled as in arXiv:2502.16982, section 2.2, a step is as large as one of AdamW, so that both
share learning rate and weight decay. Biases, gains, and matrices with a narrow side (the entries
and exits of a network) stay with AdamW.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from pdm.training.distributed.sharded import full_tensor, shard_like

MOMENTUM = 0.95
MIN_SIDE = 16  # smallest side of a matrix that is orthogonalised
# Of the quintic x -> a x + b x^3 + c x^5, five times applied: singular values between 0.7 and 1.2.
STEPS, FACTORS = 5, (3.4445, -4.7750, 2.0315)
UPDATE_RMS = 0.2  # root mean square of a step of AdamW, over many trainings of arXiv:2502.16982


def is_matrix(weight: nn.Parameter) -> bool:
    """Whether Muon takes the weight."""
    return weight.ndim >= 2 and min(len(weight), weight[0].numel()) >= MIN_SIDE


class Muon(torch.optim.AdamW):
    """AdamW that treats the matrices of some groups by Muon. Arguments are those of AdamW.

    A group takes part by its entry `orthogonal`.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; weights without a gradient stay as they are."""
        for group in (group for group in self.param_groups if group["orthogonal"]):
            for weight in group["params"]:
                if weight.grad is not None and is_matrix(weight):
                    self._move(weight, group["lr"], group["weight_decay"])
                    weight.grad = None  # AdamW passes over it
        super().step(closure)

    def _move(self, weight: nn.Parameter, rate: float, decay: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        gradient, momentum = weight.grad, state["momentum"]
        assert gradient is not None
        momentum.lerp_(gradient, 1 - MOMENTUM)
        ahead = full_tensor(gradient.lerp(momentum, MOMENTUM))  # Nesterov's
        direction = orthogonalise(ahead.flatten(1)).view(ahead.shape).to(weight.dtype)
        size = UPDATE_RMS * math.sqrt(max(ahead.shape[0], ahead[0].numel()))
        weight.mul_(1 - rate * decay).add_(shard_like(weight, direction), alpha=-rate * size)


def orthogonalise(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values brought near one, in bfloat16.

    Newton and Schulz's iteration: matrix products alone, so that it is fast on a GPU.

    Args:
        matrix: (rows, columns), of any scale.
    """
    first, second, third = FACTORS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.T
        factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        x = torch.addmm(x, factor, x, beta=first)
    return x.T if tall else x
