"""LDM's denoising networks: their sizes, their schedule, and their way through our flow."""

import pytest
import torch

from pdm.baselines.networks import load_network
from pdm.baselines.unets import LatentUNet, published
from pdm.config.latent_unet import LatentUNetConfig
from pdm.diffusion.samplers import at, noise_from_seeds
from pdm.diffusion.stochastic import ddim, fresh_noise
from pdm.errors import BadInput
from pdm.models.noise_schedule import cumulative_alphas, sampling_times, step_times
from pdm.models.unet import PyramidUNet

SHAPES = [(4, 8, 8)]
SMALL = {"name": "celeba", "base_width": 32, "predicts": "noise"}
CPU = torch.device("cpu")


def network(**changes) -> LatentUNet:
    torch.manual_seed(0)
    return LatentUNet(LatentUNetConfig(**(SMALL | changes)), (4,), (8,)).eval()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("celeba", 274_056_163),
        ("churches", 294_965_380),
        ("inpainting_big", 387_245_827),
        ("bsr_sr", 113_622_563),
        ("semantic", 215_229_315),
        ("cin256", 394_984_196),
        ("cin256-v2", 400_920_579),
        ("txt2img", 872_300_484),
    ],
)
def test_the_released_networks_have_their_numbers_of_parameters(name, parameters):
    with torch.device("meta"):
        assert sum(weight.numel() for weight in published(name).parameters()) == parameters


@pytest.mark.parametrize(
    ("last_beta", "expected"),
    [
        (0.0195, [0.5105, 0.1158, 0.0084, 1.42e-4]),
        (0.0155, [0.5374, 0.1511, 0.0176, 6.69e-4]),
        (0.0205, [0.5043, 0.1086, 0.0071, 9.7e-5]),
    ],
)
def test_the_schedule_is_that_of_the_release(last_beta, expected):
    kept = cumulative_alphas(last_beta)[[249, 499, 749, 999]]
    assert kept.tolist() == pytest.approx(expected, rel=1e-2)


def test_the_text_models_schedule_starts_elsewhere():
    kept = cumulative_alphas(0.012, first_beta=0.00085)[[249, 499, 749, 999]]
    assert kept.tolist() == pytest.approx([0.6754, 0.2777, 0.0566, 4.66e-3], rel=1e-2)


def test_steps_as_times_have_the_schedules_ratio_of_data_to_noise():
    times, kept = step_times(0.0195), cumulative_alphas(0.0195)
    torch.testing.assert_close((times / (1 - times)).square(), kept / (1 - kept))
    stops = sampling_times(0.0195, 50)
    assert len(stops) == 51
    assert stops[0] == times[-1]
    assert stops[-1] == 1
    assert stops.diff().min() > 0
    with pytest.raises(ValueError, match="1001 steps asked for"):
        sampling_times(0.0195, 1001)


@torch.no_grad()
def test_a_prediction_of_noise_becomes_the_velocity_of_the_same_noise_and_data():
    model = network()
    times = step_times(0.0195).float()
    (x,) = noise_from_seeds([0, 1], SHAPES)
    for step in (0, 400, 999):
        t, kept = times[step], cumulative_alphas(0.0195)[step].float()
        inputs = x / (t.square() + (1 - t).square()).sqrt()
        noise = model.network(inputs, step).sample
        data = (inputs - (1 - kept).sqrt() * noise) / kept.sqrt()
        (found,) = model((x,), t.expand(2))
        torch.testing.assert_close(found, data - noise, atol=2e-3, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_equals_its_formula_on_ldms_own_variables(eta):
    """Equation 12 of arXiv:2010.02502, without fresh noise and with all of it."""
    model, seeds = network(), [3, 4]
    noise, stops = noise_from_seeds(seeds, SHAPES), sampling_times(0.0195, 4)
    steps = (999, 749, 500, 250)
    kept = [*cumulative_alphas(0.0195)[list(steps)].tolist(), 1.0]
    (found,) = ddim(model, noise, stops, eta=eta, fresh=fresh_noise(seeds, SHAPES, CPU))
    draw, (x,) = fresh_noise(seeds, SHAPES, CPU), noise
    for step, now, then in zip(steps, kept, kept[1:], strict=False):
        guess = model.network(x, step).sample
        data = (x - (1 - now) ** 0.5 * guess) / now**0.5
        added = eta * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
        x = then**0.5 * data + max(0, 1 - then - added**2) ** 0.5 * guess
        if added:
            x = x + added * draw()[0]
    torch.testing.assert_close(found, x, atol=1e-2, rtol=1e-2)


def test_ancestral_samples_are_spread_as_the_data_and_do_not_depend_on_their_batch():
    mean, std = 0.5, 0.3

    def velocity(x, t):
        time = t.view(-1, 1, 1, 1)
        variance = (time * std) ** 2 + (1 - time) ** 2
        slope = (time * std**2 - (1 - time)) / variance
        return tuple(mean + slope * (one - time * mean) for one in x)

    def drawn(seeds):
        fresh, noise = fresh_noise(seeds, SHAPES, CPU), noise_from_seeds(seeds, SHAPES)
        return ddim(velocity, noise, sampling_times(0.0195, 200), eta=1.0, fresh=fresh)[0]

    together = drawn(range(40))
    assert together.mean().item() == pytest.approx(mean, abs=0.02)
    # DDPM's smaller variance is that of data without spread: a little is lost at each step.
    assert together.std().item() == pytest.approx(std, rel=0.12)
    torch.testing.assert_close(drawn([7])[0], together[7])


@pytest.mark.parametrize(
    "changes", [{}, {"predicts": "velocity"}, {"name": "churches", "base_width": 96}]
)
@torch.no_grad()
def test_a_saved_network_loads_bit_equal(changes, tmp_path):
    model, pyramid = network(**changes), noise_from_seeds([0, 1], [(4, 16, 16)])
    model.save_pretrained(tmp_path / "model")
    loaded = load_network(tmp_path / "model")
    expected, found = (at(one, pyramid, torch.tensor(0.4)) for one in (model, loaded))
    assert torch.equal(expected[0], found[0])
    with pytest.raises(BadInput, match="holds a LatentUNet, not a PyramidUNet"):
        PyramidUNet.from_pretrained(tmp_path / "model")


def test_sides_that_cannot_be_halved_are_named():
    with pytest.raises(ValueError, match="sides must be multiples of 8, not 12x16"):
        at(network(), noise_from_seeds([0], [(4, 12, 16)]), torch.tensor(0.4))


def test_it_knows_one_level_only():
    with pytest.raises(ValueError, match="one level, not 2"):
        LatentUNet(LatentUNetConfig(**SMALL), (4, 4), (16, 8))
