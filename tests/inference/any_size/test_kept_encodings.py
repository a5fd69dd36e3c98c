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
from pdm.inference.any_size.tiled.canvas import make_canvas
from pdm.inference.any_size.tiled.enlarge import enlarge
from pdm.inference.any_size.tiled.kept_encodings import MOST_COPIES, KeptEncodings
from pdm.inference.any_size.tiled.tile_velocity import TilePainter, plan_steps

STEPS = 9
SEED = 3
PICTURE = picture_of(20, 40)  # 40x80 pixels, of which a tile has 16x32
GRID = 3 * 3  # tiles without overlap
OVERLAPPING = 4 * 4


@contextmanager
def counted(studio):
    """Counts pictures that the encoder, the decoder and the denoiser get."""
    counts: Counter[str] = Counter()

    def count(name):
        return lambda module, args: counts.update({name: len(args[0][0])})

    def count_images(module, args):
        counts["encoded"] += len(args[0])

    parts = studio.autoencoder
    hooks = [
        parts.encoder.register_forward_pre_hook(count_images),
        parts.decoder.register_forward_pre_hook(count("decoded")),
        studio.networks.network.register_forward_pre_hook(count("evaluated")),
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def with_steps(models, sampler="multistep", steps=STEPS):
    return replace(models, config=replace(models.config, sampler=sampler, steps=steps))


def canvas_and_way(models, tiling):
    [factor] = {4} if models.task.kind == "super_resolution" else {2}
    picture = picture_of(20 * 2 // factor, 40 * 2 // factor)
    canvas = make_canvas(models, picture, factor)
    return canvas, canvas.layout(tiling), plan_steps(canvas, SEED, 1.0, 0)


@pytest.mark.parametrize(
    ("mode", "sampler", "evaluated", "encoded"),
    [
        # Steps 0, 4 and 8 have the same tiles.
        ("fstd", "multistep", 9 * GRID, 7 * GRID),
        ("none", "multistep", 9 * GRID, GRID),
        ("mixture", "multistep", 9 * OVERLAPPING, OVERLAPPING),
        ("multidiffusion", "euler", 9 * OVERLAPPING, OVERLAPPING),
        # Twice in all steps but the last, which is one with the tiles of the first.
        ("fstd", "heun", 17 * GRID, 7 * GRID),
        ("none", "heun", 17 * GRID, GRID),
    ],
)
def test_each_tile_is_encoded_once(studio, mode, sampler, evaluated, encoded):
    models, tiling = with_steps(studio, sampler), TilingConfig(mode=mode)
    with counted(models) as counts:
        for _ in enlarge(models, PICTURE, 2, tiling=tiling, seed=SEED, strength=1.0):
            pass
    # Decoding has tiles of its own.
    assert counts["evaluated"] == evaluated
    assert counts["encoded"] - counts["decoded"] == encoded


def test_where_each_step_moves_all_tiles_each_step_encodes_them(studio):
    models, tiling = with_steps(studio), TilingConfig(mode="spot")
    with counted(models) as counts:
        for _ in enlarge(models, PICTURE, 2, tiling=tiling, seed=SEED, strength=1.0):
            pass
    assert counts["encoded"] - counts["decoded"] == counts["evaluated"] > 0


@pytest.mark.parametrize("which", ["studio", "super_resolution"])
@pytest.mark.parametrize("sampler", ["multistep", "heun"])
@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_maps_are_those_of_tiles_encoded_anew_to_the_bit(which, sampler, mode, request):
    models = with_steps(request.getfixturevalue(which), sampler, 5)
    tiling = TilingConfig(mode=mode, tiles_at_once=4, seed=SEED)
    canvas, layout, way = canvas_and_way(models, tiling)
    start = TiledState(Point(noise_from_seeds([SEED], canvas.shapes)))
    ends = []
    for encode in (canvas.encode, KeptEncodings(canvas, layout, way).encode):
        painter = TilePainter(canvas, way, encode, SEED)
        velocity = TiledVelocity(painter, layout, canvas.scales)
        *_, end = sample_in_tiles(way.step, velocity, start, way.times)
        ends.append(end.point.pyramid)
    assert all(torch.equal(*both) for both in zip(*ends, strict=True))


@torch.no_grad()
def test_no_more_is_kept_than_twice_the_drawn_maps(super_resolution):
    """The condition of an enlarging model has all levels, and overlapping tiles have them often."""
    tiling = TilingConfig(mode="mixture", tiles_at_once=1)
    canvas, layout, way = canvas_and_way(with_steps(super_resolution), tiling)
    encodings, places = KeptEncodings(canvas, layout, way), layout.grid(0).places
    most = MOST_COPIES * sum(math.prod(shape) for shape in canvas.shapes)
    needed = 0
    for place in places:
        needed += sum(level.numel() for level in encodings.encode([place]))
    kept = sum(level.numel() for pyramid in encodings.kept.values() for level in pyramid)
    assert kept <= most < needed
    with counted(super_resolution) as counts:
        for place in places:
            encodings.encode([place])
    assert 0 < counts["encoded"] == len(places) - len(encodings.kept) < len(places)
