import torch

from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.few_steps import take_few_steps
from pdm.diffusion.mask_blending import keep_known_cells
from pdm.diffusion.samplers import euler, heun, multistep
from pdm.diffusion.sampling_times import even_times, stops_in_windows
from pdm.diffusion.stochastic import ddim


def pyramid(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 3, side, side, generator=generator) for side in (1, 4))


DATA, NOISE = pyramid(0), pyramid(1)
KNOWN = (torch.zeros(2, 1, 1, 1, dtype=torch.bool), torch.rand(2, 1, 4, 4) < 0.5)


def velocity(x, t):
    return tuple(level.mean() - level for level in x)


SAMPLERS = {
    "euler": euler,
    "heun": heun,
    "multistep": multistep,
    "adaptive": lambda v, x, t: runge_kutta(v, x, t, tolerance=1e-3),
    # LDM's steps begin after time 0.
    "ddim": lambda v, x, t: ddim(v, x, t[1:], eta=0.0, fresh=lambda: pyramid(2)),
    "ddpm": lambda v, x, t: ddim(v, x, t[1:], eta=1.0, fresh=lambda: pyramid(2)),
    "few steps": take_few_steps,
}
ONE_TIME_ONLY = ("ddim", "ddpm")  # for all levels


def test_every_sampler_ends_at_the_known_data_and_draws_the_rest():
    held = keep_known_cells(velocity, DATA, NOISE, KNOWN)
    for name, sampler in SAMPLERS.items():
        for times in (even_times(6), stops_in_windows(even_times(6), [(0.0, 0.7), (0.3, 1.0)])):
            if name in ONE_TIME_ONLY and times.ndim == 2:
                continue
            found = sampler(held, NOISE, times)
            cells = KNOWN[1].expand(-1, 3, -1, -1)
            assert torch.allclose(found[1][cells], DATA[1][cells], atol=1e-5), name
            assert not torch.allclose(found[1][~cells], DATA[1][~cells], atol=1e-2), name


def test_the_network_sees_the_known_part_at_its_own_noise():
    seen = []

    def record(x, t):
        seen.append((x, t))
        return velocity(x, t)

    euler(keep_known_cells(record, DATA, NOISE, KNOWN), NOISE, even_times(4))
    cells = KNOWN[1].expand(-1, 3, -1, -1)
    assert len(seen) == 4
    for x, t in seen:
        expected = torch.lerp(NOISE[1], DATA[1], t.view(-1, 1, 1, 1))
        assert torch.allclose(x[1][cells], expected[cells], atol=1e-6)
