"""Fréchet distance between Gaussians fitted to two sets of features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))          (Dowson and Landau, 1982)

All in float64; float32 is off by half a percent at 2048 features.
"""

import numpy as np
import scipy.linalg

from pdm.evaluation.moments import Array, Moments


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared distance in the features' units. Biased upwards for few pictures, whatever the sets:
    compare only values with the same counts, and with that of two sets of real pictures.

    Also right when a covariance is singular, as it is for fewer pictures than features.
    """
    root = root_factor(first.covariance)
    # C1 C2 = R R^T C2 has the eigenvalues of R^T C2 R, which is symmetric: no general square root
    # of a matrix is needed, and directions in which C1 is zero drop out instead of adding noise.
    product = scipy.linalg.eigvalsh(root.T @ second.covariance @ root)
    trace_of_root = np.sqrt(product.clip(min=0)).sum()
    shift = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return max(float(shift @ shift + traces - 2 * trace_of_root), 0.0)


def root_factor(covariance: Array) -> Array:
    """R with R R^T = `covariance`, (D, rank). The costly half; a reference's may be kept."""
    values, vectors = scipy.linalg.eigh(covariance, driver="evd")
    noise = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    significant = values > noise
    return np.asarray(vectors[:, significant] * np.sqrt(values[significant]))
