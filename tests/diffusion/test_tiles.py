from functools import partial

import pytest
import torch

from pdm.config.sampling.tiling import MODES, TilingConfig
from pdm.diffusion.samplers import (
    Point,
    euler,
    euler_step,
    heun,
    heun_step,
    multistep,
    multistep_step,
)
from pdm.diffusion.sampling_times import even_times
from pdm.diffusion.stochastic import ddim, ddim_step, fresh_noise, start_on_path
from pdm.diffusion.tiles.layout import TileLayout
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.diffusion.tiles.weights import VARIANCE, axis_weights, covered, gaussian

IN_ALL_MODES = pytest.mark.parametrize("mode", MODES)
SHAPES = [(3, 20, 28), (2, 40, 56)]  # of a picture's maps: the second twice as fine
TILE = (8, 12)


def noise(seed: int, shapes=SHAPES):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(1, *shape, generator=generator) for shape in shapes)


def flow(pyramid, t, tiles=()):
    """Some velocity that looks at neighbours, as networks do."""
    time = t.view(-1, 1, 1, 1)
    return tuple(
        torch.tanh(x.roll(1, 2) + x.roll(1, 3) * time) - 0.5 * x - x.mean((2, 3), keepdim=True)
        for x in pyramid
    )


def tiled(velocity=flow, tile=TILE, size=SHAPES[0][1:], scales=(1, 2), **settings):
    return TiledVelocity(velocity, TileLayout(TilingConfig(**settings), size, tile), scales)


def fresh():
    return fresh_noise([5], SHAPES, torch.device("cpu"))


def samplers():
    """Whole loops, and the same as steps."""
    return [
        pytest.param(euler, lambda: euler_step, id="euler"),
        pytest.param(heun, lambda: heun_step, id="heun"),
        pytest.param(multistep, lambda: multistep_step, id="multistep"),
        pytest.param(
            lambda *args: ddim(*args, eta=1.0, fresh=fresh()),
            lambda: partial(ddim_step, eta=1.0, fresh=fresh()),
            id="ddim",
        ),
    ]


def run(velocity, step, times, start=None):
    start = start or TiledState(Point(noise(0)))
    return list(sample_in_tiles(step, velocity, start, times))


@pytest.mark.parametrize(("side", "calls"), [(128, 4), (256, 16), (512, 64)])
def test_fstd_calls_the_network_as_often_as_a_grid_without_overlap(side, calls):
    layout = TileLayout(TilingConfig(mode="fstd"), (side, side), (64, 64))
    assert [len(layout.grid(step).tiles) for step in range(9)] == [calls] * 9


@pytest.mark.parametrize(("side", "calls"), [(128, 9), (256, 49), (512, 225)])
def test_explicit_overlap_calls_it_as_often_as_published(side, calls):
    layout = TileLayout(TilingConfig(mode="mixture"), (side, side), (64, 64))
    assert len(layout.grid(3).tiles) == calls


def test_fstd_offsets_are_uniform_below_the_overlap_and_zero_in_every_fourth_step():
    layout = TileLayout(TilingConfig(seed=3), (256, 256), (64, 64))
    grids = [layout.grid(step) for step in range(4000)]
    offsets = [(grid.rows.starts[0], grid.columns.starts[0]) for grid in grids]
    assert set(offsets[::4]) == {(0, 0)}
    moved = [pair for step, pair in enumerate(offsets) if step % 4]
    for axis in (0, 1):
        assert {pair[axis] for pair in moved} == set(range(32))
    assert len(set(moved)) > 900  # of 1,024: the axes are independent


def test_tiles_beyond_the_edge_are_moved_inside():
    layout = TileLayout(TilingConfig(seed=0), (150, 100), (64, 64))
    for step in range(50):
        grid = layout.grid(step)
        assert grid.rows.starts[-1] == 150 - 64
        assert grid.columns.starts[-1] == 100 - 64


def test_tiles_are_a_function_of_seed_and_step():
    sizes = (256, 256), (64, 64)
    layouts = [TileLayout(TilingConfig(seed=seed), *sizes) for seed in (1, 1, 2)]
    one, same, other = ([each.grid(step) for step in range(12)] for each in layouts)
    assert one == same
    assert one != other


@IN_ALL_MODES
@pytest.mark.parametrize("size", [(20, 28), (8, 12), (5, 7), (9, 100)])
def test_weights_sum_to_one_wherever_a_tile_lies(mode, size):
    config = TilingConfig(mode=mode)
    layout = TileLayout(config, size, TILE)
    for step in range(12):
        grid = layout.grid(step)
        for axis, is_rows in ((grid.rows, True), (grid.columns, False)):
            total = torch.zeros(axis.map_side, dtype=torch.float64)
            weights = axis_weights(config, axis, is_rows=is_rows)
            for start, each in zip(axis.starts, weights, strict=True):
                assert len(each) == axis.tile_side
                total[start : start + axis.tile_side] += each
            torch.testing.assert_close(total, covered(axis).double())


def test_the_gaussian_has_a_variance_of_a_hundredth_of_the_squared_tile():
    side = 1000
    cells, weights = torch.arange(side), gaussian(side, (side - 1) / 2)
    mean = (weights * cells).sum() / weights.sum()
    variance = (weights * (cells - mean) ** 2).sum() / weights.sum()
    assert variance.item() / side**2 == pytest.approx(VARIANCE, rel=1e-3)


def test_weights_are_symmetric_only_on_request():
    """The published code has the middle of a tile's rows half a cell too low."""
    for symmetric in (False, True):
        config = TilingConfig(mode="mixture", symmetric=symmetric, overlap=0.5)
        axis = TileLayout(config, (16, 16), (8, 8)).grid(0).rows
        rows, columns = (axis_weights(config, axis, is_rows=one) for one in (True, False))
        assert torch.equal(rows[1], rows[1].flip(0)) == symmetric
        torch.testing.assert_close(columns[1], columns[1].flip(0))


@IN_ALL_MODES
def test_every_cell_gets_a_prediction_in_every_step(mode):
    def ones(pyramid, t, tiles):
        return tuple(torch.ones_like(level) for level in pyramid)

    for step_number, state in enumerate(run(tiled(ones, mode=mode), euler_step, even_times(8)), 1):
        for level, start in zip(state.point.pyramid, noise(0), strict=True):
            torch.testing.assert_close(level, start + step_number / 8)


@IN_ALL_MODES
def test_a_velocity_that_looks_at_each_cell_alone_is_not_changed_by_tiles(mode):
    def pointwise(pyramid, t, tiles=()):
        return tuple(0.7 - 0.3 * level for level in pyramid)

    velocity = tiled(pointwise, mode=mode)
    first = velocity(noise(0), torch.zeros(1))
    for found, expected in zip(first, pointwise(noise(0), None), strict=True):
        torch.testing.assert_close(found, expected)


def test_uncovered_strips_take_the_previous_prediction():
    velocity = tiled(mode="fstd", seed=1)
    before = velocity(noise(0), torch.zeros(1))
    velocity.step = 1
    top = velocity.layout.grid(1).rows.starts[0]
    assert top > 0
    after = velocity(noise(1), torch.full((1,), 0.1))
    for number, scale in enumerate((1, 2)):
        strip = (slice(None), slice(None), slice(0, top * scale))
        assert torch.equal(after[number][strip], before[number][strip])
        assert not torch.equal(after[number], before[number])


@IN_ALL_MODES
@pytest.mark.parametrize(("whole", "step"), samplers())
@pytest.mark.parametrize("size", [(8, 12), (6, 12), (5, 7)])
def test_one_tile_equals_plain_sampling_to_the_bit(mode, whole, step, size):
    shapes = [(3, *size), (2, size[0] * 2, size[1] * 2)]
    start, times = noise(4, shapes), even_times(5)[1:]
    some = fresh_noise([5], shapes, torch.device("cpu"))
    begin = start
    if isinstance(step(), partial):  # ddim, with noise of this size
        expected = ddim(flow, start, times, eta=1.0, fresh=some)
        again = fresh_noise([5], shapes, torch.device("cpu"))
        taken, begin = partial(ddim_step, eta=1.0, fresh=again), start_on_path(start, times)
    else:
        expected, taken = whole(flow, start, times), step()
    *_, end = run(tiled(size=size, mode=mode), taken, times, TiledState(Point(begin)))
    for found, wanted in zip(end.point.pyramid, expected, strict=True):
        assert torch.equal(found, wanted)


@IN_ALL_MODES
@pytest.mark.parametrize(("whole", "step"), samplers())
def test_sampling_goes_on_from_any_step_with_equal_bits(mode, whole, step):
    times = even_times(7)[1:]
    states = run(tiled(mode=mode), step(), times)
    for stopped in (1, 2, 5):
        taken = step()
        if isinstance(taken, partial):
            for _ in range(stopped):
                taken.keywords["fresh"]()
        *_, end = run(tiled(mode=mode), taken, times, states[stopped - 1])
        for found, wanted in zip(end.point.pyramid, states[-1].point.pyramid, strict=True):
            assert torch.equal(found, wanted)


def test_both_evaluations_of_a_heun_step_see_the_same_tiles():
    seen = []

    def watched(pyramid, t, tiles):
        seen.append(tuple(tiles))
        return flow(pyramid, t)

    velocity = tiled(watched, tiles_at_once=100)
    run(velocity, heun_step, even_times(6))
    assert len(seen) == 11
    assert all(one == other for one, other in zip(seen[:-1:2], seen[1::2], strict=True))


def test_the_number_of_tiles_at_once_changes_nothing():
    ends = [run(tiled(tiles_at_once=count), euler_step, even_times(5))[-1] for count in (1, 3, 64)]
    for end in ends[1:]:
        for one, other in zip(end.point.pyramid, ends[0].point.pyramid, strict=True):
            torch.testing.assert_close(one, other)


def test_tiles_are_announced_as_they_are_done():
    counts: list[int] = []
    layout = TileLayout(TilingConfig(tiles_at_once=4), SHAPES[0][1:], TILE)
    run(TiledVelocity(flow, layout, (1, 2), counts.append), euler_step, even_times(5))
    assert sum(counts) == sum(len(layout.grid(step).tiles) for step in range(5))
