"""LDM's noise schedule (Rombach et al., arXiv:2112.10752), and its steps as times of our flow.

LDM mixes data and noise as x_i = sqrt(abar_i) data + sqrt(1 - abar_i) noise, in a thousand steps
from data to noise. Divided by the sum of both factors that is a point t data + (1 - t) noise of our
paths. So a network that predicts LDM's noise gives a velocity, every sampler takes it, and Euler's
steps between such times are DDIM's without noise.
"""

import torch
from torch import Tensor

NUM_STEPS = 1000
FIRST_BETA = 0.0015
LAST_BETAS = {"celeba": 0.0195, "churches": 0.0155}  # by the release's configurations


def cumulative_alphas(last_beta: float, first_beta: float = FIRST_BETA) -> Tensor:
    """abar after each step, (1000,) in float64: betas are linear in their root."""
    roots = torch.linspace(first_beta**0.5, last_beta**0.5, NUM_STEPS, dtype=torch.float64)
    return (1 - roots.square()).cumprod(0)


def step_times(last_beta: float) -> Tensor:
    """Times of our flow at each of LDM's steps, (1000,) in float64, falling from data to noise."""
    kept = cumulative_alphas(last_beta)
    return kept.sqrt() / (kept.sqrt() + (1 - kept).sqrt())


def sampling_times(last_beta: float, steps: int) -> Tensor:
    """Stops of a sampler that takes every so manieth step of LDM's, (steps + 1,), ending with 1.

    Raises:
        ValueError: There are no more than 1,000 steps.
    """
    if steps > NUM_STEPS:
        raise ValueError(f"{steps} steps asked for, of the {NUM_STEPS} that there are")
    places = torch.linspace(NUM_STEPS - 1, 0, steps + 1, dtype=torch.float64)[:-1].round().long()
    return torch.cat([step_times(last_beta)[places], torch.ones(1, dtype=torch.float64)])
