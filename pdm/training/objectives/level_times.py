"""Times of the levels in training, where each has its own by `LevelTimesConfig`."""

import torch
from torch import Tensor

from pdm.config.networks.level_times import LevelTimesConfig
from pdm.diffusion.level_schedules import NOT_BEGUN, Schedule, offset_windows, shifted_by_level
from pdm.diffusion.sampling_times import times_in_windows


def draw_level_times(
    config: LevelTimesConfig, time: Tensor, num_levels: int, generator: torch.Generator
) -> Tensor:
    """Draw the levels' times (levels,) of one picture.

    Args:
        config: How they are related.
        time: (), drawn from the distribution of `timesteps`. It is the time of the active stage,
            the time of the picture that holds all windows, or the common time before their shifts.
        num_levels: Of the pyramid.
        generator: Source of the stage and of the earlier stages' times.
    """
    if config.kind == "stages":
        return _draw_stage(config, time, generator)
    if config.kind == "offset":
        return times_in_windows(time.view(1), offset_windows(config, num_levels))[0]
    return shifted_by_level(time.view(1), config)[0]


def level_weights(config: LevelTimesConfig, t: Tensor) -> Tensor:
    """Return the loss weights of levels at times (B, levels): 0 before they begin and after they
    end.

    Levels that run count 1 each, so their errors are summed as in DFM; with an offset, the coarsest
    counts `leading_weight`, as in SFD.
    """
    weights = ((t >= 0) & (t <= 1)).to(t.dtype)
    if config.leading_weight is not None:
        weights[:, 0] *= config.leading_weight
    return weights


def add_noise_to_finished(
    schedule: Schedule, t: Tensor, most_noise: float, generator: torch.Generator
) -> Tensor:
    """Move finished levels of one picture, with times (levels,), back by up to a share of noise.

    They are not exactly clean in sampling either. A network that only saw clean ones learns to
    trust details of them that are wrong there, the more the longer it is trained (Latent Forcing,
    arXiv:2602.11401). The network is told the new times; loss weights stay those of the old ones.

    Args:
        schedule: How the times are related. With stages, levels of all but the active stage count
            as finished, and these times replace those from `finished_location`.
        t: (levels,).
        most_noise: Share of noise, drawn evenly from 0 up to this.
        generator: Source of the shares.
    """
    noise = most_noise * torch.rand(len(t), generator=generator)
    return torch.where(_finished(schedule, t), 1 - noise, t)


def _finished(schedule: Schedule, t: Tensor) -> Tensor:
    if isinstance(schedule, LevelTimesConfig) and schedule.stage_levels is not None:
        stages = _stage_of_levels(schedule)
        return stages < stages[t >= 0].max()
    return t > 1


def _draw_stage(config: LevelTimesConfig, time: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one stage: its levels get `time`, earlier ones are nearly data, later ones not begun."""
    assert config.finished_location is not None
    shares = torch.tensor(config.stage_probabilities)
    active = int(torch.multinomial(shares, 1, generator=generator))
    nearly_data = torch.randn(len(shares), generator=generator) + config.finished_location
    times = torch.full((len(shares),), NOT_BEGUN)
    times[:active] = nearly_data.sigmoid()[:active]
    times[active] = time
    return times[_stage_of_levels(config)]


def _stage_of_levels(config: LevelTimesConfig) -> Tensor:
    """Return the index of each level's stage."""
    assert config.stage_levels is not None
    counts = torch.tensor(config.stage_levels)
    return torch.arange(len(counts)).repeat_interleave(counts)
