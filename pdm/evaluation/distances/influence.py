"""The influence of each vector on the Fréchet distance, to first order.

When a vector counts w times instead of once, the distance changes by (w - 1) times its influence
over the number of vectors, as long as the changes are small (the infinitesimal jackknife: Jaeckel,
1972; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6).

The derivative of |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) by C1 is I - T, where T maps the first
Gaussian onto the second as optimal transport does: T = F (F^T C1 F)^(-1/2) F^T with C2 = F F^T.
"""

import numpy as np

from pdm.evaluation.distances.frechet import root_factor
from pdm.evaluation.distances.moments import Array, Moments

BLOCK = 4096  # vectors at once


def frechet_influences(vectors: Array, own: Moments, other: Moments) -> Array:
    """Compute the influence of each vector on the distance of its set from the other, (N,), of mean
    0.

    Also correct for singular covariances, where only directions with variance count.

    Args:
        vectors: Vectors (N, D) of one of the two sets.
        own: Moments of `vectors`.
        other: Moments of the other set.
    """
    gradient = np.eye(len(own.mean)) - _transport(own.covariance, other.covariance)
    gradient *= own.count / (own.count - 1)  # divisor of a covariance against that of a mean
    shift = own.mean - other.mean
    influences = np.empty(len(vectors))
    for start in range(0, len(vectors), BLOCK):
        centred = vectors[start : start + BLOCK] - own.mean
        squares = np.einsum("nd,nd->n", centred @ gradient, centred)
        influences[start : start + BLOCK] = 2 * centred @ shift + squares
    return np.asarray(influences - influences.mean())


def _transport(first: Array, second: Array) -> Array:
    """Compute the linear map T (D, D) with T C1 T = C2, on the span of both covariances."""
    factor = root_factor(second)
    values, directions = np.linalg.eigh(factor.T @ first @ factor)
    noise = len(values) * np.finfo(np.float64).eps * values[-1] if len(values) else 0.0
    spanned = values > max(noise, 0.0)
    half = factor @ (directions[:, spanned] * values[spanned] ** -0.25)
    return np.asarray(half @ half.T)
