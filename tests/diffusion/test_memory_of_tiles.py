"""How many copies of a large picture's maps sampling holds at once."""

from functools import partial

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from pdm.config.sampling.tiling import TilingConfig
from pdm.diffusion.samplers import Point, euler_step, heun_step, multistep_step
from pdm.diffusion.sampling_times import even_times
from pdm.diffusion.stochastic import ddim_step
from pdm.diffusion.tiles.layout import TileLayout
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity

SIDE, TILE, CHANNELS = 128, 16, 4
COPY_BYTES = 4 * CHANNELS * SIDE**2
TILES = 0.4  # copies: temporary tensors of one tile, and strips that no tile covers


def half_of(pyramid, t, tiles):
    return tuple(0.5 * level for level in pyramid)


def sample(step):
    layout = TileLayout(TilingConfig(mode="fstd", tiles_at_once=1), (SIDE, SIDE), (TILE, TILE))
    velocity = TiledVelocity(half_of, layout, (1,))
    noise = torch.ones(1, CHANNELS, SIDE, SIDE)
    states = sample_in_tiles(step, velocity, TiledState(Point((noise,))), even_times(5))
    del noise
    for _ in states:
        pass


def peak_copies(work) -> float:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as measured:
        work()
    events = measured.profiler.kineto_results.events()
    taken = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            taken += event.nbytes()
            peak = max(peak, taken)
    return peak / COPY_BYTES


@pytest.mark.parametrize(
    ("step", "copies"),
    [
        # The maps, two predictions, and the maps of the next step.
        pytest.param(euler_step, 4, id="euler"),
        pytest.param(multistep_step, 4, id="multistep"),
        pytest.param(partial(ddim_step, eta=0.0, fresh=tuple), 5, id="ddim"),
        pytest.param(heun_step, 5, id="heun"),
    ],
)
@torch.no_grad()
def test_sampling_holds_few_copies_of_the_maps(step, copies):
    assert copies <= peak_copies(partial(sample, step)) <= copies + TILES
