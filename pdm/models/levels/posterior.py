"""The posterior of the latents: a mean and a log-variance for every value.

The log-variance of a deterministic level is None: its latent is the mean, without noise and without
a KL penalty.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.models.levels.pyramid import Pyramid

LogVariances = tuple[Tensor | None, ...]  # one for each level, coarse to fine

# Limits of the log-variance, as in LDM (arXiv:2112.10752): beyond them its exponential is useless.
LOG_VARIANCE_RANGE = (-30.0, 20.0)


def sample_latents(means: Pyramid, log_variances: LogVariances, noise: Pyramid) -> Pyramid:
    """Sample latents from the posterior (reparametrised, so that gradients flow).

    Args:
        means: The levels, coarse to fine, each (B, C, h, w).
        log_variances: As many, of the same shapes, or None.
        noise: Standard normal, shaped like the means; that of deterministic levels is not used.
    """
    return tuple(
        mean if log_variance is None else mean + (0.5 * log_variance).exp() * draw
        for mean, log_variance, draw in zip(means, log_variances, noise, strict=True)
    )


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the mean KL divergence of N(mean, exp(log_variance)) from N(0, 1), in nats per
    value."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def kl_penalty(
    means: Pyramid, log_variances: LogVariances, weights: Sequence[float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the KL divergence of the latents from the standard normal, and its terms.

    Args:
        means: The levels, coarse to fine.
        log_variances: As many; None for a deterministic level, which costs nothing.
        weights: One for each level.

    Returns:
        The weighted sum over the levels, and each level's KL in nats per value, as "kl_level_2"
        for the third.
    """
    penalty, terms = means[0].new_zeros((), dtype=torch.float32), {}
    for index, (mean, log_variance) in enumerate(zip(means, log_variances, strict=True)):
        if log_variance is not None:
            terms[f"kl_level_{index}"] = kl_to_standard_normal(mean, log_variance)
            penalty = penalty + weights[index] * terms[f"kl_level_{index}"]
    return penalty, terms
