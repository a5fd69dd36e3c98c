"""Draws one landscape from a seed. The same seed, index and size give the same pixels."""

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.finish import photograph
from pdm.curation.scrape.drawing.grid.frame import frame_of
from pdm.curation.scrape.drawing.grid.textures import textures
from pdm.curation.scrape.drawing.layers import compose
from pdm.curation.scrape.drawing.scene import choose


def draw(seed: int, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Landscape `index` of a seed, whatever others are drawn.

    Returns:
        (height_px, width_px, 3), RGB.
    """
    scene = choose(seed, index)
    frame = frame_of(scene, width_px, height_px)
    random = np.random.default_rng([seed, index, 1])
    size = 1024 if width_px > 1024 else 512 if width_px > 512 else 256
    shared = textures(size)
    layers = compose(scene, frame, size, shared, random)
    return photograph(scene, frame, layers, shared, random)
