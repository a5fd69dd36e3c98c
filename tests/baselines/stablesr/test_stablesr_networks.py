"""StableSR's networks and sampling steps against a restatement."""

from dataclasses import asdict

import pytest
import stablesr_reference as reference
import torch
from shared.published_stablesr import (
    FIRST_STAGE_CONFIG,
    HEAD_WIDTH,
    SMALL,
)
from stablesr_files import below, wrapping

from pdm.baselines.stablesr.denoiser import BETAS
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.published_names import (
    ENCODER,
    UNET,
)
from pdm.baselines.stablesr.renaming import fusing_name
from pdm.baselines.trained_steps import rising_times, velocity_of
from pdm.config.networks.stablesr import FusingFirstStageConfig
from pdm.diffusion.samplers import Point
from pdm.diffusion.stochastic import ddim_step
from pdm.models.condition import Condition
from pdm.models.noise_schedule import cumulative_alphas, respaced_times, step_times

NUM_HEADS = 4


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
@torch.no_grad()
def test_the_networks_compute_what_the_restatement_does(size, weights, model):
    latent, enlarged = torch.randn(2, 2, 4, *size)
    steps, text = torch.tensor([3, 977]), torch.randn(2, 5, SMALL.text_width)
    maps = model.encoder(enlarged, steps)
    expected = reference.encode(below(ENCODER, weights), enlarged, steps, NUM_HEADS)
    assert set(maps) == set(expected)
    for width, found in maps.items():
        torch.testing.assert_close(found, expected[width], rtol=0, atol=2e-5)
    predicted = model.unet(latent, steps, text, maps)
    restated = reference.predict(below(UNET, weights), latent, steps, text, expected, HEAD_WIDTH)
    torch.testing.assert_close(predicted, restated, rtol=0, atol=2e-5)
    assert restated.std() > 0.05  # neither is nothing


@torch.no_grad()
def test_a_network_of_v_gives_the_velocity_of_the_noise_that_its_v_implies():
    times, x, t = rising_times(*BETAS), torch.randn(3, 4, 8, 8), torch.tensor([0.1, 0.4, 0.9])
    abar = cumulative_alphas(*BETAS).float()

    def noise(x, steps):
        return torch.tanh(x + 0.001 * steps.view(-1, 1, 1, 1))

    def v(x, steps):
        a, s = abar[steps].sqrt().view(-1, 1, 1, 1), (1 - abar[steps]).sqrt().view(-1, 1, 1, 1)
        predicted = noise(x, steps)
        return a * predicted - s * (x - s * predicted) / a

    # at times of the steps themselves, where both are exact
    t = times[(times[None] - t[:, None]).abs().argmin(1)]
    by_noise, by_v = (
        velocity_of(noise, "noise", times, x, t),
        velocity_of(v, "v", times, x, t),
    )
    torch.testing.assert_close(by_v, by_noise, rtol=1e-4, atol=1e-4)


def test_the_stops_are_the_steps_that_the_public_code_keeps():
    all_times = step_times(*BETAS)
    kept = [all_times.tolist().index(t) for t in respaced_times(*BETAS, 200)[:-1].tolist()]
    assert kept[:3] + kept[-3:] == [999, 994, 989, 10, 5, 0]
    assert len(kept) == 200
    assert respaced_times(*BETAS, 1)[0] == all_times[999]


@pytest.mark.parametrize(("now", "later"), [(999, 994), (500, 495), (5, 0), (0, None)])
@torch.no_grad()
def test_a_step_is_that_of_ddpm(now, later, model):
    abar = cumulative_alphas(*BETAS)
    x, enlarged, fresh = torch.randn(3, 2, 4, 8, 8)
    # DDPM (Ho et al., arXiv:2006.11239, equations 6 and 7), with the betas of the steps kept
    a, before = abar[now], 1.0 if later is None else abar[later]
    beta, steps = 1 - a / before, torch.full((2,), now)
    text = model.empty_text.expand(2, -1, -1)
    noise = model.unet(x, steps, text, model.encoder(enlarged, steps))
    data = (x - (1 - a) ** 0.5 * noise) / a**0.5
    mean = before**0.5 * beta / (1 - a) * data + (1 - beta) ** 0.5 * (1 - before) / (1 - a) * x
    expected = mean + (beta * (1 - before) / (1 - a)) ** 0.5 * fresh

    times = step_times(*BETAS)[[now, now if later is None else later]]
    times[1] = 1 if later is None else times[1]
    scales = (times.square() + (1 - times).square()).sqrt().float()
    point = Point((x * scales[0],))
    reached = ddim_step(
        lambda pyramid, t: model(pyramid, t, Condition(levels=(enlarged,))),
        *(point, times),
        eta=1.0,
        fresh=lambda: (fresh,),
    )
    torch.testing.assert_close(
        reached.pyramid[0] / scales[1], expected.float(), rtol=1e-4, atol=1e-4
    )


def test_a_latent_whose_sides_cannot_be_halved_is_refused(model):
    latent = torch.randn(1, 4, 12, 8)
    with pytest.raises(ValueError, match="multiples of 8, not 12x8"):
        model((latent,), torch.tensor([0.5]), Condition(levels=(latent,)))


@pytest.mark.parametrize("fusion_weight", [0.0, 0.5])
@torch.no_grad()
def test_the_wrapped_decoder_computes_what_the_restatement_does(fusion_weight):
    own, picture, latent = wrapping(), torch.rand(1, 3, 32, 64) * 2 - 1, torch.randn(1, 4, 4, 8)
    sizes = asdict(FIRST_STAGE_CONFIG)
    model = FusingFirstStage(FusingFirstStageConfig(**sizes, fusion_weight=fusion_weight))
    renamed = {fusing_name(name): value for name, value in own.items()}
    state = {
        name: value.flatten(1) if is_linear(name, value) else value
        for name, value in renamed.items()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith(("network.", "mean_", "std_")) for name in missing)
    found = model.eval().decode_beside((latent,), picture)
    groups = model.fusing.config.norm_num_groups
    expected = reference.decode_beside(own, latent, picture, fusion_weight, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def is_linear(name, value) -> bool:
    return ".attentions." in name and value.ndim == 4
