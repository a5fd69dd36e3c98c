import pytest
import torch

from pdm.diffusion.flow import (
    flow_loss,
    interpolate,
    logit_normal_times,
    target,
    uniform_times,
)
from pdm.diffusion.sampling_times import even_times, stops_in_windows
from pdm.models.noise_schedule import step_times
from pdm.training.objectives.timesteps import TimeDistribution

SHAPES = [(8, 1, 1), (4, 2, 4), (2, 8, 16)]


def random_pyramid(count: int, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in SHAPES)


def zeros(pyramid, t):
    return tuple(torch.zeros_like(level) for level in pyramid)


def test_paths_lead_from_noise_to_data():
    data, noise = random_pyramid(2, 0), random_pyramid(2, 1)
    for a, b in zip(interpolate(data, noise, torch.zeros(2)), noise, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(interpolate(data, noise, torch.ones(2)), data, strict=True):
        torch.testing.assert_close(a, b)


def test_the_target_is_the_slope_of_the_path():
    data, noise = random_pyramid(2, 0), random_pyramid(2, 1)
    early, late = (interpolate(data, noise, torch.full((2,), t)) for t in (0.25, 0.75))
    for a, b, slope in zip(early, late, target(data, noise), strict=True):
        torch.testing.assert_close((b - a) / 0.5, slope)


def test_each_picture_has_its_own_time():
    data, noise = random_pyramid(2, 0), random_pyramid(2, 1)
    found = interpolate(data, noise, torch.tensor([0.0, 1.0]))
    for level, start, end in zip(found, noise, data, strict=True):
        torch.testing.assert_close(level[0], start[0])
        torch.testing.assert_close(level[1], end[1])


def test_predicting_zero_costs_two_on_standardised_data():
    data, noise = random_pyramid(2048, 0), random_pyramid(2048, 1)
    loss, levels = flow_loss(zeros, data, noise, torch.rand(2048), [1, 1, 1])
    assert loss.item() == pytest.approx(2, rel=0.02)
    assert levels.mean(dim=1).tolist() == pytest.approx([2, 2, 2], rel=0.05)


def test_predicting_the_target_costs_nothing():
    data, noise = random_pyramid(4, 0), random_pyramid(4, 1)
    loss, _ = flow_loss(lambda x, t: target(data, noise), data, noise, torch.rand(4), [1, 2, 3])
    assert loss.item() == 0


def test_levels_count_by_their_weights_and_not_by_their_sizes():
    data, noise = random_pyramid(4, 0), tuple(torch.zeros_like(x) for x in random_pyramid(4, 0))
    data = tuple(
        torch.full_like(level, value) for level, value in zip(data, (1, 2, 3), strict=True)
    )
    loss, levels = flow_loss(zeros, data, noise, torch.rand(4), [2.0, 0.0, 6.0])
    assert levels.tolist() == [[1] * 4, [4] * 4, [9] * 4]
    assert loss.item() == pytest.approx((2 * 1 + 6 * 9) / 8)


def test_the_loss_does_not_depend_on_the_layout():
    data, noise = random_pyramid(4, 0), random_pyramid(4, 1)
    layout, times = torch.channels_last, torch.rand(4)
    loss, errors = flow_loss(zeros, data, noise, times, [1, 2, 3])
    turned = (tuple(x.contiguous(memory_format=layout) for x in part) for part in (data, noise))
    other_loss, other_errors = flow_loss(zeros, *turned, times, [1, 2, 3])
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_errors, errors)


def test_the_loss_sends_gradients_to_the_network():
    weight = torch.ones(1, requires_grad=True)
    data, noise = random_pyramid(4, 0), random_pyramid(4, 1)
    loss, levels = flow_loss(
        lambda x, t: tuple(weight * level for level in x), data, noise, torch.rand(4), [1, 1, 1]
    )
    loss.backward()
    assert weight.grad is not None
    assert not levels.requires_grad


def test_times_follow_their_laws():
    uniform = uniform_times(50_000, torch.Generator().manual_seed(0))
    crowded = logit_normal_times(50_000, torch.Generator().manual_seed(0))
    for times in (uniform, crowded):
        assert times.min() >= 0
        assert times.max() <= 1
        assert times.mean().item() == pytest.approx(0.5, abs=0.005)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.005)
    assert torch.logit(crowded).std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("times", [uniform_times, logit_normal_times])
def test_the_same_generator_gives_the_same_times(times):
    first, second = (times(8, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


WINDOWS = ((0.0, 0.6), (0.2, 0.8), (0.4, 1.0))


def test_levels_in_windows_run_from_noise_to_data_and_rest_before_and_after():
    times = stops_in_windows(even_times(4), WINDOWS)
    assert len(times) == 4 + 1 + 4  # with the windows' ends, but for 0 and 1
    for level, (start, end) in enumerate(WINDOWS):
        way = torch.cat([even_times(4), torch.tensor([0.2, 0.4, 0.6, 0.8]).double()]).sort().values
        torch.testing.assert_close(
            times[:, level], (way - start) / (end - start), atol=1e-6, rtol=0
        )
    data, noise = random_pyramid(9, 0), random_pyramid(9, 1)
    found = interpolate(data, noise, times.float())
    torch.testing.assert_close(found[2][0], noise[2][0])
    torch.testing.assert_close(found[0][-1], data[0][-1])


# A stop at 11 / 20 is 0.55 less a rounding error, which would be before the level's start.
@pytest.mark.parametrize(("steps", "start"), [(20, 0.55), (35, 0.2), (25, 0.68)])
def test_a_level_starts_and_ends_exactly_at_a_stop(steps, start):
    times = stops_in_windows(even_times(steps), ((0.0, start), (start, 1.0)))
    assert len(times) == steps + 1
    for level in times.unbind(1):
        assert (level == 0).sum() == 1
        assert (level == 1).sum() == 1


@pytest.mark.parametrize(("kind", "shift"), [("uniform", 1.0), ("logit_normal", 3.0)])
def test_windows_leave_each_levels_loss_what_it_is_under_the_law_of_its_times(kind, shift):
    """The mean of any function of a level's time, weighed, is its mean without windows."""
    plain, windows = (TimeDistribution(kind, shift, 0.0, None, found) for found in (None, WINDOWS))
    generator = torch.Generator().manual_seed(0)
    alone = torch.stack([plain.draw(generator) for _ in range(20_000)])
    times = torch.stack([windows.draw(generator) for _ in range(20_000)])
    weights = windows.weights(times)
    assert weights.max() <= len(WINDOWS) + 1e-4
    for level in range(3):
        own, share = times[:, level], weights[:, level]
        assert share.mean().item() == pytest.approx(1, abs=0.03)
        assert not share[(own < 0) | (own > 1)].any()
        for function in (torch.clone, torch.square, torch.cos):
            expected = function(alone).mean().item()
            found = (share * function(own.clamp(0, 1))).mean().item()
            assert found == pytest.approx(expected, abs=0.02)


def test_ldms_times_weigh_errors_of_the_velocity_as_errors_of_the_noise():
    law = TimeDistribution("ldm", 1.0, 0.0, step_times(0.0015, 0.0195).float(), None)
    times = torch.stack([law.draw(torch.Generator().manual_seed(seed)) for seed in range(8)])
    data, noise, guess = (random_pyramid(8, seed) for seed in range(3))

    def velocity(x, t):
        """Of a network that predicts the noise to be `guess`."""
        return tuple((x_ - g) / t.view(-1, 1, 1, 1) for x_, g in zip(x, guess, strict=True))

    loss, _ = flow_loss(velocity, data, noise, times, [1, 1, 1], law.weights(times))
    expected = sum((a - b).square().mean() for a, b in zip(guess, noise, strict=True)) / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)


def test_uniform_times_reach_beyond_the_ends_by_the_margin():
    law = TimeDistribution("uniform", 1.0, 0.1, None, None)
    times = torch.stack([law.draw(torch.Generator().manual_seed(seed)) for seed in range(2000)])
    assert times.min().item() == pytest.approx(-0.1, abs=0.01)
    assert times.max().item() == pytest.approx(1.1, abs=0.01)
