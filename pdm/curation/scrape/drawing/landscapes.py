"""Draws one landscape from a seed. The same seed, index and size give the same pixels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.finish import photograph
from pdm.curation.scrape.drawing.grid.frame import Frame, frame_of
from pdm.curation.scrape.drawing.grid.textures import textures
from pdm.curation.scrape.drawing.kinds import kinds_of
from pdm.curation.scrape.drawing.land.terrain import Terrain
from pdm.curation.scrape.drawing.land.view import View
from pdm.curation.scrape.drawing.layers import compose
from pdm.curation.scrape.drawing.scene import choose


def draw(seed: int, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Landscape `index` of a seed, whatever others are drawn.

    Returns:
        (height_px, width_px, 3), RGB.
    """
    return _draw(seed, index, width_px, height_px, lambda land, seen, frame: None)


def draw_with_map(
    seed: int, index: int, width_px: int, height_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same landscape, and what each of its pixels shows.

    Returns:
        (height_px, width_px, 3), RGB, and (height_px, width_px), indices of `kinds.KINDS`.
    """
    maps: list[NDArray[np.uint8]] = []
    picture = _draw(seed, index, width_px, height_px, lambda *seen: maps.append(kinds_of(*seen)))
    return picture, maps[0]


def _draw(
    seed: int,
    index: int,
    width_px: int,
    height_px: int,
    on_seen: Callable[[Terrain, View, Frame], None],
) -> NDArray[np.uint8]:
    scene = choose(seed, index)
    frame = frame_of(scene, width_px, height_px)
    random = np.random.default_rng([seed, index, 1])
    size = 1024 if width_px > 1024 else 512 if width_px > 512 else 256
    shared = textures(size)
    seen = partial(_with_frame, on_seen, frame)
    layers = compose(scene, frame, size, shared, random, seen)
    return photograph(scene, frame, layers, shared, random)


def _with_frame(
    on_seen: Callable[[Terrain, View, Frame], None], frame: Frame, land: Terrain, seen: View
) -> None:
    on_seen(land, seen, frame)
