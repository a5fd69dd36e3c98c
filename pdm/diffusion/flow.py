"""Rectified flow (flow matching) over pyramids: path, target, loss and times. Knows no network.

Time runs from noise to data throughout this package: t = 0 is noise, t = 1 is data,

    x_t = t * data + (1 - t) * noise        velocity = d x_t / d t = data - noise

(Liu et al., arXiv:2209.03003). Papers and codebases disagree on the direction: when porting a
formula, replace t by 1 - t and flip the velocity's sign.

Times are (B,), or (B, levels) if each level has its own; below 0 a level has not begun, above 1 it
is finished.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pdm.models.levels.pyramid import Pyramid

# (pyramid, t (B,) or (B, levels)) -> same shapes
Velocity = Callable[[Pyramid, Tensor], Pyramid]


def uniform_times(count: int, generator: torch.Generator) -> Tensor:
    """Draw (count,) times, uniform in [0, 1), on the generator's device."""
    return torch.rand(count, generator=generator, device=generator.device)


def logit_normal_times(count: int, generator: torch.Generator) -> Tensor:
    """Draw (count,) times whose logit is standard normal, on the generator's device.

    Most fall in the middle of the path, where the prediction is hard (Esser et al.,
    arXiv:2403.03206, section 3.1).
    """
    return torch.randn(count, generator=generator, device=generator.device).sigmoid()


def interpolate(data: Pyramid, noise: Pyramid, t: Tensor) -> Pyramid:
    """Return the points at times t on the straight paths from noise to data.

    Args:
        data, noise: Pyramids.
        t: (B,), or (B, levels), where below 0 a level is noise and above 1 it is data.
    """
    if t.ndim == 2:
        t = t.clamp(0, 1)
    return tuple(
        torch.lerp(start, end, time.to(end.dtype))
        for start, end, time in zip(noise, data, by_level(t, len(data)), strict=True)
    )


def by_level(t: Tensor, num_levels: int) -> list[Tensor]:
    """Split times (B,) or (B, levels) into a tensor (B, 1, 1, 1) for each level."""
    columns = t.reshape(len(t), -1).expand(-1, num_levels)
    return [column.reshape(-1, 1, 1, 1) for column in columns.unbind(1)]


def target(data: Pyramid, noise: Pyramid) -> Pyramid:
    """Return the velocity of the straight paths, the same at every time."""
    return tuple(end - start for start, end in zip(noise, data, strict=True))


def flow_loss(
    velocity: Velocity,
    data: Pyramid,
    noise: Pyramid,
    t: Tensor,
    level_weights: Sequence[float] | Tensor,
    time_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the mean squared error of the velocity, averaged within each level, then over levels.

    Averaging within a level first keeps the few coarse values from drowning in the many fine ones.

    Args:
        velocity: The network under training.
        data: Latents, standardised.
        noise: Standard normal, same shapes.
        t: (B,) in [0, 1], or (B, levels).
        level_weights: One per level, coarse to fine; only their ratios matter. A tensor on the
            device saves a copy to it.
        time_weights: (B,) or (B, levels), factors of each image's squared errors; None for 1.

    Returns:
        The loss, a scalar (predicting zero scores 2 on standardised data), and the mean squared
        error of each level of each image, (levels, B), detached.
    """
    predicted = velocity(interpolate(data, noise, t), t)
    expected = _values_of(data) - _values_of(noise)
    errors = F.mse_loss(_values_of(predicted).float(), expected.float(), reduction="none")
    of_levels = torch.split(errors, [level.numel() for level in data])
    by_image = torch.stack([values.view(len(t), -1).mean(dim=1) for values in of_levels])
    if time_weights is not None:
        by_image = by_image * time_weights.reshape(len(t), -1).mT
    level_losses = by_image.mean(dim=1)
    weights = torch.as_tensor(level_weights, dtype=level_losses.dtype, device=level_losses.device)
    return (level_losses * weights).sum() / weights.sum(), by_image.detach()


def _values_of(pyramid: Pyramid) -> Tensor:
    """Put the values of all levels into one vector, so that one kernel can work on all; levels in
    channels_last layout are not copied before."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten() for level in pyramid])
