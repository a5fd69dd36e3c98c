"""Networks that were trained at the thousand steps of a noise schedule, as velocities of our flow.

Such a network sees x = a data + s noise, with a^2 + s^2 = 1, and predicts the noise, or
v = a noise - s data (Salimans and Ho, arXiv:2202.00512, appendix D). At our time t, x is a point of
our paths divided by sqrt(t^2 + (1 - t)^2).
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from pdm.models.noise_schedule import NUM_STEPS, step_times


def rising_times(beta_start: float, beta_end: float) -> Tensor:
    """Return our times of the steps, (1000,) in float32, so that they can be searched; the last
    step, which is nearly noise, comes first."""
    return step_times(beta_start, beta_end).flip(0).float()


def velocity_of(
    predict: Callable[[Tensor, Tensor], Tensor],
    predicts: Literal["noise", "v"],
    times: Tensor,
    latent: Tensor,
    t: Tensor,
) -> Tensor:
    """Return the velocity that a prediction gives, with the shape and dtype of the latent.

    Args:
        predict: Of x (B, C, h, w) and steps (B,) int64, from 0 to 999.
        predicts: What.
        times: Of `rising_times`.
        latent: (B, C, h, w), a point of our paths.
        t: (B,); the nearest step is taken.
    """
    t = t.clamp(times[0], times[-1])
    steps = NUM_STEPS - 1 - (times[None] - t[:, None]).abs().argmin(dim=1)
    data_share = t.view(-1, 1, 1, 1)
    scale = (data_share.square() + (1 - data_share).square()).sqrt()
    x = latent / scale
    noise = predict(x, steps).float()
    if predicts == "v":
        noise = (data_share * noise + (1 - data_share) * x) / scale
    return ((latent - noise) / data_share).to(latent.dtype)
