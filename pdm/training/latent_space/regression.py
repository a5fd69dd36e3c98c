"""Ridge regression from sums over batches, with a constant among the inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

NEVER_VARIES = 1e-9  # ridge for inputs that are zero throughout, relative to the mean of the others


@dataclass
class Regression:
    """Sums over samples that a linear regression of T targets on F inputs follows from."""

    inputs: Tensor  # (F + 1, F + 1) in float64; the last input is a constant 1
    products: Tensor  # (F + 1, T), inputs times targets
    squares: Tensor  # (T,), of the targets
    samples: int

    @classmethod
    def of(cls, inputs: Tensor, targets: Tensor) -> "Regression":
        """Sum over samples: inputs (N, F), targets (N, T)."""
        inputs, targets = inputs.double(), targets.double()
        inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        squares = targets.square().sum(0)
        return cls(inputs.T @ inputs, inputs.T @ targets, squares, len(inputs))

    def __add__(self, other: "Regression") -> "Regression":
        return Regression(
            self.inputs + other.inputs,
            self.products + other.products,
            self.squares + other.squares,
            self.samples + other.samples,
        )

    @property
    def variance(self) -> float:
        """Variance of the targets, summed over them."""
        mean = self.products[-1] / self.samples
        return float((self.squares / self.samples - mean.square()).sum())

    def weights(self, ridge: float) -> Tensor:
        """Fit: (F + 1, T), the constant's row last.

        Args:
            ridge: Penalty of the squared weights, relative to each input's own sum of squares; the
                constant is free.
        """
        own = self.inputs.diagonal()
        penalty = ridge * own + NEVER_VARIES * own[:-1].mean()
        penalty[-1] = 0
        fitted: Tensor = torch.linalg.solve(self.inputs + penalty.diag(), self.products)
        return fitted

    def error(self, weights: Tensor) -> float:
        """Mean squared error of these weights on these samples, summed over the targets."""
        fitted = (weights * (self.inputs @ weights)).sum() - 2 * (weights * self.products).sum()
        return float(fitted + self.squares.sum()) / self.samples
