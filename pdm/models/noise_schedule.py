"""LDM's noise schedule (Rombach et al., arXiv:2112.10752), with its steps as times of our flow.

LDM mixes data and noise as x_i = sqrt(abar_i) data + sqrt(1 - abar_i) noise, in a thousand steps
from data to noise. Divided by the sum of both factors, this is a point t data + (1 - t) noise of
our paths. So a network that predicts LDM's noise gives a velocity for every sampler, and Euler's
steps between such times are DDIM's without fresh noise.
"""

import torch
from torch import Tensor

NUM_STEPS = 1000
FIRST_BETA = 0.0015
LAST_BETAS = {  # from the configurations of LDM's release
    "celeba": 0.0195,
    "churches": 0.0155,
    "inpainting_big": 0.0205,
    "bsr_sr": 0.0155,
    "semantic": 0.0205,
    "txt2img": 0.012,
    "layout": 0.0205,
}
FIRST_BETAS = {"txt2img": 0.00085}  # of the others: FIRST_BETA


def cumulative_alphas(beta_start: float, beta_end: float) -> Tensor:
    """Return alpha-bar after each step, (1000,) in float64; the roots of the betas are linear."""
    roots = torch.linspace(beta_start**0.5, beta_end**0.5, NUM_STEPS, dtype=torch.float64)
    return (1 - roots.square()).cumprod(0)


def betas_of(name: str) -> tuple[float, float]:
    """Return the first and the last beta of a released configuration, as diffusers orders them."""
    return FIRST_BETAS.get(name, FIRST_BETA), LAST_BETAS[name]


def step_times(beta_start: float, beta_end: float) -> Tensor:
    """Return our flow's time at each of LDM's steps, (1000,) in float64, from data to noise."""
    abar = cumulative_alphas(beta_start, beta_end)
    return abar.sqrt() / (abar.sqrt() + (1 - abar).sqrt())


def respaced_times(beta_start: float, beta_end: float, steps: int) -> Tensor:
    """Return a sampler's stops, (steps + 1,): steps from the last of LDM's to its first, then 1.

    Improved diffusion's respacing (Nichol and Dhariwal, arXiv:2102.09672, section 4), as in
    StableSR's code: for 200 steps 999, 994, ..., 5, 0.

    Raises:
        ValueError: `steps` is more than 1,000.
    """
    _check_steps(steps)
    places = torch.linspace(NUM_STEPS - 1, 0, steps, dtype=torch.float64).round().long()
    return _times_at(places, beta_start, beta_end)


def sampling_times(beta_start: float, beta_end: float, steps: int) -> Tensor:
    """Return a sampler's stops, (steps + 1,): evenly spaced steps of LDM's, then 1.

    They begin at the last step, as "trailing" ones do (Lin et al., arXiv:2305.08891, table 2). For
    a number of steps that divides 1,000 they are those of diffusers' `DDIMScheduler`.

    Raises:
        ValueError: `steps` is more than 1,000.
    """
    _check_steps(steps)
    places = torch.linspace(NUM_STEPS, 0, steps + 1, dtype=torch.float64)[:-1].round().long() - 1
    return _times_at(places, beta_start, beta_end)


def _check_steps(steps: int) -> None:
    if steps > NUM_STEPS:
        raise ValueError(f"expected at most {NUM_STEPS} steps, got {steps}")


def _times_at(places: Tensor, beta_start: float, beta_end: float) -> Tensor:
    times = step_times(beta_start, beta_end)[places]
    return torch.cat([times, torch.ones(1, dtype=torch.float64)])
