"""LDM's denoising networks: their sizes, their schedule, and their way through our flow."""

import pytest
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import Attention

from pdm.baselines.initialisation import zero_initialised
from pdm.baselines.released_unets import build_unet, published
from pdm.baselines.unets import LatentUNet
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.diffusion.samplers import noise_from_seeds, velocity_at
from pdm.diffusion.stochastic import ddim, fresh_noise
from pdm.errors import BadInput
from pdm.models.condition import Condition
from pdm.models.noise_schedule import cumulative_alphas, sampling_times, step_times
from pdm.models.unet import PyramidUNet
from pdm.registry import load_denoiser

SHAPES = [(4, 8, 8)]
SMALL = {"name": "celeba", "base_width": 32, "predicts": "noise"}
CPU = torch.device("cpu")


def untrained(**changes) -> LatentUNet:
    torch.manual_seed(0)
    return LatentUNet(LatentUNetConfig(**(SMALL | changes)), (4,), (8,)).eval()


def network(**changes) -> LatentUNet:
    """One that predicts more than zero, as if it had been trained."""
    model = untrained(**changes)
    for layer in zero_initialised(model.network).values():
        layer.reset_parameters()
    return model


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
        ("layout", 246_277_379),
    ],
)
def test_the_released_networks_have_their_numbers_of_parameters(name, parameters):
    with torch.device("meta"):
        assert sum(weight.numel() for weight in published(name).parameters()) == parameters


# `num_heads` or `num_head_channels` of the release's configurations
@pytest.mark.parametrize(
    ("name", "heads_by_width"),
    [
        ("celeba", {448: 14, 672: 21, 896: 28}),
        ("churches", {192: 8, 384: 8, 768: 8}),
        ("inpainting_big", {512: 8, 768: 8, 1024: 8}),
        ("bsr_sr", {640: 20}),
        ("semantic", {1024: 8}),
        ("cin256", {256: 8, 512: 16, 1024: 32}),
        ("cin256-v2", {384: 1, 576: 1, 960: 1}),
        ("txt2img", {320: 8, 640: 8, 1280: 8}),
        ("layout", {256: 8, 384: 12, 512: 16}),
    ],
)
def test_the_released_networks_have_their_attention_heads(name, heads_by_width):
    with torch.device("meta"):
        modules = list(published(name).modules())
    assert {m.inner_dim: m.heads for m in modules if isinstance(m, Attention)} == heads_by_width


@pytest.mark.parametrize(
    "changes",
    [{}, {"predicts": "velocity"}, {"name": "churches", "base_width": 96, "predicts": "velocity"}],
)
@torch.no_grad()
def test_an_untrained_network_predicts_exactly_zero(changes):
    latents = torch.randn(2, 4, 16, 16)
    assert not untrained(**changes).network(latents, torch.tensor([3, 700])).sample.any()


SMALL_CONDITIONAL = {
    "block_out_channels": [32, 64],
    "cross_attention_dim": 16,
    "down_block_types": ["CrossAttnDownBlock2D"] * 2,
    "up_block_types": ["CrossAttnUpBlock2D"] * 2,
}


@torch.no_grad()
def test_an_untrained_conditional_network_predicts_exactly_zero():
    latents, tokens = torch.randn(2, 4, 8, 8), torch.randn(2, 3, 16)
    assert not build_unet(SMALL_CONDITIONAL)(latents, 5, tokens).sample.any()


# `zero_module` of LDM's code: the end of each residual block, of each self-attention block and
# spatial transformer, and of the network; of a transformer's own attention layers none.
@pytest.mark.parametrize(
    ("build", "ends"),
    [
        (lambda: untrained().network, ("conv_out", ".conv2", ".to_out.0")),
        (lambda: build_unet(SMALL_CONDITIONAL), ("conv_out", ".conv2", ".proj_out")),
    ],
)
def test_the_layers_that_start_at_zero_are_those_of_ldms_code(build, ends):
    weights = {
        name.removesuffix(".weight"): value
        for name, value in build().named_parameters()
        if name.endswith(".weight")
    }
    at_zero = {name for name, value in weights.items() if not value.any()}
    assert at_zero == {name for name in weights if name.endswith(ends)}


def test_other_layers_start_as_diffusers_makes_them():
    ours = untrained()
    torch.manual_seed(0)
    theirs = type(ours.network)(**ours.network.config).state_dict()
    starts = zero_initialised(ours.network)
    for name, value in ours.network.state_dict().items():
        zero = name.rsplit(".", 1)[0] in starts
        assert torch.equal(value, torch.zeros_like(value) if zero else theirs[name])


@pytest.mark.parametrize(
    ("last_beta", "expected"),
    [
        (0.0195, [0.5105, 0.1158, 0.0084, 1.42e-4]),
        (0.0155, [0.5374, 0.1511, 0.0176, 6.69e-4]),
        (0.0205, [0.5043, 0.1086, 0.0071, 9.7e-5]),
    ],
)
def test_the_schedule_is_that_of_the_release(last_beta, expected):
    kept = cumulative_alphas(0.0015, last_beta)[[249, 499, 749, 999]]
    assert kept.tolist() == pytest.approx(expected, rel=1e-2)


def test_the_text_models_schedule_starts_elsewhere():
    kept = cumulative_alphas(0.00085, 0.012)[[249, 499, 749, 999]]
    assert kept.tolist() == pytest.approx([0.6754, 0.2777, 0.0566, 4.66e-3], rel=1e-2)


@pytest.mark.parametrize("steps", [1, 4, 20, 50, 250, 1000])
def test_sampling_stops_at_the_trailing_steps_of_diffusers(steps):
    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    stops = step_times(0.0015, 0.0195)[scheduler.timesteps]
    assert torch.equal(sampling_times(0.0015, 0.0195, steps)[:-1], stops)


def test_steps_as_times_have_the_schedules_ratio_of_data_to_noise():
    times, kept = step_times(0.0015, 0.0195), cumulative_alphas(0.0015, 0.0195)
    torch.testing.assert_close((times / (1 - times)).square(), kept / (1 - kept))
    stops = sampling_times(0.0015, 0.0195, 50)
    assert len(stops) == 51
    assert stops[0] == times[-1]
    assert stops[-1] == 1
    assert stops.diff().min() > 0
    with pytest.raises(ValueError, match="expected at most 1000 steps, got 1001"):
        sampling_times(0.0015, 0.0195, 1001)


@torch.no_grad()
def test_a_prediction_of_noise_becomes_the_velocity_of_the_same_noise_and_data():
    model = network()
    times = step_times(0.0015, 0.0195).float()
    (x,) = noise_from_seeds([0, 1], SHAPES)
    for step in (0, 400, 999):
        t, kept = times[step], cumulative_alphas(0.0015, 0.0195)[step].float()
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
    noise, stops = noise_from_seeds(seeds, SHAPES), sampling_times(0.0015, 0.0195, 4)
    steps = (999, 749, 499, 249)
    kept = [*cumulative_alphas(0.0015, 0.0195)[list(steps)].tolist(), 1.0]
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

    def sample(seeds):
        fresh, noise = fresh_noise(seeds, SHAPES, CPU), noise_from_seeds(seeds, SHAPES)
        return ddim(velocity, noise, sampling_times(0.0015, 0.0195, 200), eta=1.0, fresh=fresh)[0]

    together = sample(range(40))
    assert together.mean().item() == pytest.approx(mean, abs=0.02)
    # DDPM's smaller variance is that of data without spread: a little is lost at each step.
    assert together.std().item() == pytest.approx(std, rel=0.12)
    torch.testing.assert_close(sample([7])[0], together[7])


@pytest.mark.parametrize(
    "changes", [{}, {"predicts": "velocity"}, {"name": "churches", "base_width": 96}]
)
@torch.no_grad()
def test_a_saved_network_loads_bit_equal(changes, tmp_path):
    model, pyramid = network(**changes), noise_from_seeds([0, 1], [(4, 16, 16)])
    model.save_pretrained(tmp_path / "model")
    loaded = load_denoiser(tmp_path / "model")
    expected, found = (velocity_at(one, pyramid, torch.tensor(0.4)) for one in (model, loaded))
    assert torch.equal(expected[0], found[0])
    with pytest.raises(BadInput, match="is a LatentUNet, not a PyramidUNet"):
        PyramidUNet.from_pretrained(tmp_path / "model")


def test_sides_that_cannot_be_halved_are_named():
    with pytest.raises(ValueError, match="sides must be multiples of 8, not 12x16"):
        velocity_at(network(), noise_from_seeds([0], [(4, 12, 16)]), torch.tensor(0.4))


def test_it_knows_one_level_only():
    with pytest.raises(ValueError, match="one level, not 2"):
        LatentUNet(LatentUNetConfig(**SMALL), (4, 4), (16, 8))


@pytest.mark.parametrize(
    ("name", "width", "beside", "published_parameters"),
    [
        ("inpainting_big", 256, {"condition_channels": 4}, 387_245_827),
        ("bsr_sr", 160, {"condition_channels": 3}, 113_622_563),
        ("semantic", 128, {"map_classes": 182}, 215_229_315 + 182 * 3),
    ],
)
def test_the_networks_of_tasks_have_the_published_numbers_of_parameters(
    name, width, beside, published_parameters
):
    """The last with the 1x1 convolution that takes 182 classes to three channels."""
    config = LatentUNetConfig(name=name, base_width=width, predicts="noise", **beside)
    with torch.device("meta"):
        model = LatentUNet(config, (3,), (4,))
    assert sum(weight.numel() for weight in model.parameters()) == published_parameters
    assert model.network.config.in_channels == {"inpainting_big": 7}.get(name, 6)


@pytest.mark.parametrize(
    ("name", "beside", "condition"),
    [
        ("inpainting_big", {"condition_channels": 5}, {"levels": (torch.ones(2, 5, 8, 8),)}),
        ("semantic", {"map_classes": 6}, {"map": torch.ones(2, 6, 32, 32)}),
    ],
)
@torch.no_grad()
def test_what_a_task_gives_stands_beside_the_latent(name, beside, condition):
    model = network(name=name, base_width=32, predicts="velocity", **beside)
    latents, times = (torch.randn(2, 4, 8, 8),), torch.tensor([0.2, 0.9])
    shown = Condition(**condition)
    found, other = (
        model(latents, times, one)[0] for one in (shown, shown.change(torch.zeros_like))
    )
    assert found.shape == (2, 4, 8, 8)
    assert not torch.allclose(found, other, atol=1e-5)
    with pytest.raises(ValueError, match="needs a condition of the kind"):
        model(latents, times)
