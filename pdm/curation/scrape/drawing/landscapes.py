"""Draws one landscape from a seed. The same seed, index and size give the same pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.boxes import boxes_of
from pdm.curation.scrape.drawing.finish import photograph
from pdm.curation.scrape.drawing.grid.frame import frame_of
from pdm.curation.scrape.drawing.grid.textures import textures
from pdm.curation.scrape.drawing.kinds import kinds_of
from pdm.curation.scrape.drawing.land.terrain import Terrain
from pdm.curation.scrape.drawing.land.view import View
from pdm.curation.scrape.drawing.layers import Layers, compose
from pdm.curation.scrape.drawing.scene import choose
from pdm.data.annotations.boxes import LabelledBox


@dataclass(frozen=True, slots=True)
class Landscape:
    """A picture and what it shows.

    Args:
        picture: (height_px, width_px, 3), RGB.
        kinds: (height_px, width_px), indices of `kinds.KINDS`.
        boxes: See `pdm.curation.scrape.drawing.boxes`.
    """

    picture: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    boxes: tuple[LabelledBox, ...]


def draw(seed: int, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Landscape `index` of a seed, whatever others are drawn.

    Returns:
        (height_px, width_px, 3), RGB.
    """
    return _draw(seed, index, width_px, height_px, lambda land, seen: None)[0]


def draw_with_map(
    seed: int, index: int, width_px: int, height_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same landscape, and what each of its pixels shows.

    Returns:
        (height_px, width_px, 3), RGB, and (height_px, width_px), indices of `kinds.KINDS`.
    """
    landscape = draw_described(seed, index, width_px, height_px)
    return landscape.picture, landscape.kinds


def draw_described(seed: int, index: int, width_px: int, height_px: int) -> Landscape:
    """The same landscape, with what each pixel shows, and boxes."""
    scene = choose(seed, index)
    frame = frame_of(scene, width_px, height_px)
    kinds: list[NDArray[np.uint8]] = []

    def see(land: Terrain, seen: View) -> None:
        kinds.append(kinds_of(land, seen, frame))

    picture, layers = _draw(seed, index, width_px, height_px, see)
    return Landscape(picture, kinds[0], boxes_of(scene, frame, layers, kinds[0]))


def _draw(
    seed: int,
    index: int,
    width_px: int,
    height_px: int,
    on_seen: Callable[[Terrain, View], None],
) -> tuple[NDArray[np.uint8], Layers]:
    scene = choose(seed, index)
    frame = frame_of(scene, width_px, height_px)
    random = np.random.default_rng([seed, index, 1])
    size = 1024 if width_px > 1024 else 512 if width_px > 512 else 256
    shared = textures(size)
    layers = compose(scene, frame, size, shared, random, on_seen)
    return photograph(scene, frame, layers, shared, random), layers
