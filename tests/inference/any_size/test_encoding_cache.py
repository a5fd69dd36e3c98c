"""Tiles that come again are encoded once, and nothing else changes."""

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from enlarging import picture_of

from pdm.config.sampling.tiling import MODES, TilingConfig
from pdm.diffusion.samplers import Point, noise_from_seeds
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.inference.any_size.tiled.canvas import enlarging_factors, make_canvas
from pdm.inference.any_size.tiled.encoding_cache import MAX_COPIES, EncodingCache
from pdm.inference.any_size.tiled.enlarge import enlarge
from pdm.inference.any_size.tiled.tile_velocity import TileDenoiser, plan_steps

STEPS = 8
SEED = 5  # which moves the tiles in all steps that may move them
PICTURE = picture_of(20, 40)  # enlarged to 80x40 pixels, where a tile has 32x16
MAX_TILES = 16


@contextmanager
def counted(loaded):
    """Counts pictures that the encoder, the decoder and the denoiser get."""
    counts: Counter[str] = Counter()

    def count(name):
        return lambda module, args: counts.update({name: len(args[0][0])})

    def count_images(module, args):
        counts["encoded"] += len(args[0])

    parts = loaded.autoencoder
    hooks = [
        parts.encoder.register_forward_pre_hook(count_images),
        parts.decoder.register_forward_pre_hook(count("decoded")),
        loaded.networks.network.register_forward_pre_hook(count("evaluated")),
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def with_steps(models, sampler="multistep", steps=STEPS):
    """All tiles of a step are one batch."""
    config = replace(models.config, sampler=sampler, steps=steps, batch_size=MAX_TILES)
    return replace(models, config=config)


def canvas_and_schedule(models, tiling):
    [factor, *_] = enlarging_factors(models)
    canvas = make_canvas(models, picture_of(40 // factor, 80 // factor), factor)
    return canvas, canvas.layout(tiling), plan_steps(canvas, SEED, 1.0, 0)


@pytest.mark.parametrize("sampler", ["multistep", "heun"])
@pytest.mark.parametrize(
    ("mode", "tiles"), [("fstd", 9), ("none", 9), ("multidiffusion", 16), ("mixture", 16)]
)
def test_tiles_are_encoded_once_and_evaluated_as_often_as_before(loaded, mode, tiles, sampler):
    models, tiling = with_steps(loaded, sampler), TilingConfig(mode=mode)
    _, _, schedule = canvas_and_schedule(models, tiling)
    steps = schedule.num_steps
    assert steps > 5  # two without an offset, and more than one with
    with counted(models) as counts:
        for _ in enlarge(models, PICTURE, 2, tiling=tiling, seed=SEED, strength=1.0):
            pass
    evaluations = 2 * steps - 1 if sampler == "heun" else steps
    assert counts["evaluated"] == evaluations * tiles
    moved = sum(step % tiling.reset_every != 0 for step in range(steps)) if mode == "fstd" else 0
    # Decoding has tiles of its own.
    assert counts["encoded"] - counts["decoded"] == (1 + moved) * tiles


def test_where_each_step_moves_all_tiles_each_step_encodes_them(loaded):
    models, tiling = with_steps(loaded), TilingConfig(mode="spot")
    with counted(models) as counts:
        for _ in enlarge(models, PICTURE, 2, tiling=tiling, seed=SEED, strength=1.0):
            pass
    assert counts["encoded"] - counts["decoded"] == counts["evaluated"] > 0


@pytest.mark.parametrize(
    ("which", "mode", "sampler"),
    [
        *(("loaded", mode, "multistep") for mode in MODES),
        ("loaded", "fstd", "heun"),
        ("super_resolution", "fstd", "multistep"),
        ("super_resolution", "mixture", "heun"),
    ],
)
def test_maps_are_those_of_tiles_encoded_anew_to_the_bit(which, sampler, mode, request):
    models = with_steps(request.getfixturevalue(which), sampler)
    tiling = TilingConfig(mode=mode, tiles_at_once=4, seed=SEED)
    canvas, layout, schedule = canvas_and_schedule(models, tiling)
    start = TiledState(Point(noise_from_seeds([SEED], canvas.shapes)))
    ends = []
    for encode in (canvas.encode, EncodingCache(canvas, layout, schedule).encode):
        denoiser = TileDenoiser(canvas, schedule, encode, SEED)
        velocity = TiledVelocity(denoiser, layout, canvas.scales)
        with torch.no_grad():
            *_, end = sample_in_tiles(schedule.step, velocity, start, schedule.times)
        ends.append(end.point.pyramid)
    assert all(torch.equal(*both) for both in zip(*ends, strict=True))


def test_no_more_is_kept_than_twice_the_drawn_maps(super_resolution):
    """The condition of an enlarging model has all levels, and overlapping tiles have them often."""
    tiling = TilingConfig(mode="mixture", tiles_at_once=1)
    canvas, layout, schedule = canvas_and_schedule(with_steps(super_resolution), tiling)
    encodings, tiles = EncodingCache(canvas, layout, schedule), layout.grid(0).tiles
    most = MAX_COPIES * sum(math.prod(shape) for shape in canvas.shapes)
    needed = 0
    for tile in tiles:
        needed += sum(level.numel() for level in encodings.encode([tile]))
    kept = sum(level.numel() for pyramid in encodings.kept.values() for level in pyramid)
    assert kept <= most < needed
    with counted(super_resolution) as counts:
        for tile in tiles:
            encodings.encode([tile])
    assert 0 < counts["encoded"] == len(tiles) - len(encodings.kept) < len(tiles)
