"""Few steps, and the trajectories of a teacher, where the flow is known."""

import pytest
import torch

from pdm.config.networks.level_times import LevelTimesConfig
from pdm.diffusion.few_steps import (
    choose_stops,
    extrapolate,
    mean_velocity,
    take_few_steps,
    teacher_trajectory,
    times_of_steps,
)
from pdm.diffusion.level_schedules import sampler_stops
from pdm.diffusion.samplers import extrapolations, multistep
from pdm.diffusion.sampling_times import step_lengths

WINDOWS = ((0.0, 0.7), (0.1, 0.8), (0.3, 1.0))
STAGES = LevelTimesConfig(
    kind="stages",
    stage_levels=(1, 1, 1),
    stage_probabilities=(0.4, 0.3, 0.3),
    stage_steps=(1.0, 1.0, 1.0),
    threshold=0.9,
    finished_location=1.5,
)
SCHEDULES = pytest.mark.parametrize("schedule", [None, WINDOWS, STAGES], ids=["one", "w", "s"])
NUM_TEACHER_STEPS = 13


def noise():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 3, side, side, generator=generator) for side in (1, 2, 4))


def curved(pyramid, t):
    """A flow whose trajectories are not straight."""
    times = t.reshape(len(t), -1).expand(-1, 3)
    return tuple(
        torch.sin(3 * level) + time.view(-1, 1, 1, 1)
        for level, time in zip(pyramid, times.unbind(1), strict=True)
    )


@SCHEDULES
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_a_network_whose_steps_follow_the_mean_velocities_reaches_the_teachers_end(schedule, steps):
    times = sampler_stops(NUM_TEACHER_STEPS, 1.0, schedule, 3)
    kept = choose_stops(len(times), steps)
    points = teacher_trajectory(curved, noise(), times, kept)
    lengths = step_lengths(times[kept])
    means = [mean_velocity(*pair) for pair in zip(points, points[1:], lengths, strict=False)]
    shares = [row if len(row) > 1 else row * 3 for row in extrapolations(lengths)]
    answers = []  # of a network that is right: p with p + share (p - previous p) = mean
    for number, (mean, share) in enumerate(zip(means, shares, strict=True)):
        before = answers[number - 1] if number else mean
        parts = zip(mean, before, share, strict=True)
        answers.append(tuple((one + part * old) / (1 + part) for one, old, part in parts))
    for level in range(3):
        stacked = torch.stack([answer[level] for answer in answers])
        followed = extrapolate(stacked, torch.tensor([share[level] for share in shares]))
        torch.testing.assert_close(followed, torch.stack([mean[level] for mean in means]))
    remaining = iter(answers)
    found = take_few_steps(lambda x, t: next(remaining), noise(), times[kept])
    for ours, end in zip(found, multistep(curved, noise(), times), strict=True):
        torch.testing.assert_close(ours, end)


@SCHEDULES
def test_all_levels_go_from_noise_to_data_in_exactly_these_steps(schedule):
    times = sampler_stops(NUM_TEACHER_STEPS, 1.0, schedule, 3)
    stops = times[choose_stops(len(times), 4)]
    assert len(stops) == 5
    lengths = torch.tensor(step_lengths(stops))
    torch.testing.assert_close(lengths.sum(dim=0), torch.ones(lengths.shape[1]))


@SCHEDULES
def test_the_network_is_told_that_a_level_has_begun_in_every_step_in_which_it_moves(schedule):
    times = sampler_stops(NUM_TEACHER_STEPS, 1.0, schedule, 3)
    stops = times[choose_stops(len(times), 4)]
    moves = torch.tensor(step_lengths(stops)) > 0
    told = times_of_steps(stops).reshape(moves.shape)
    assert (told[moves] >= 0).all()
    assert (told[moves] < 1).all()
    resting = stops[:-1].reshape(moves.shape)[~moves]
    assert torch.equal(told[~moves], resting)
