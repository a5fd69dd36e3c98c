"""Boxes around what a landscape shows; true by construction, as the map of its pixels is.

    sun, moon        with the brightest part of the glow, where no cloud or land hides the disc
    hill             land that rises above the horizon: hills, mountains, mesas, islands
    water, forest, snow

A box encloses a connected part of at least a hundredth of the picture.
"""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.kinds import FOREST, SKY, SNOW, WATER
from pdm.curation.scrape.drawing.layers import Layers
from pdm.curation.scrape.drawing.scene import Scene
from pdm.data.annotations.boxes import LabelledBox

KINDS = {"water": WATER, "forest": FOREST, "snow": SNOW}
NAMES = ("sun", "moon", "hill", *KINDS)
MIN_AREA_SHARE = 0.01  # of the picture
_GLOW = 0.05  # radians around the light; the halo has a third of its strength there
_CLEAR = 0.3  # how much of the sky must show through the clouds


def boxes_of(
    scene: Scene, frame: Frame, layers: Layers, kinds: NDArray[np.uint8]
) -> tuple[LabelledBox, ...]:
    """Return the boxes of a landscape.

    Args:
        scene: What it shows.
        frame: Its size and rays.
        layers: Where the sky is clear, and the skyline.
        kinds: (height_px, width_px), what each pixel shows.
    """
    found = list(_light(scene, frame, layers))
    rows = np.arange(frame.height_px)[:, None]
    found += _parts("hill", (kinds != SKY) & (kinds != WATER) & (rows < frame.horizon_px))
    for name, kind in KINDS.items():
        found += _parts(name, kinds == kind)
    return tuple(found)


def _light(scene: Scene, frame: Frame, layers: Layers) -> Iterator[LabelledBox]:
    """The sun or the moon, if it is seen."""
    across, up = scene.light_azimuth, scene.light_height
    column = frame.width_px / 2 + frame.focal_px * math.tan(across)
    row = frame.horizon_px - frame.focal_px * math.tan(up) / math.cos(across)
    inside = 0 <= column < frame.width_px and 0 <= row < frame.height_px
    if scene.hour.name == "dusk" or not inside:  # at dusk no disc is drawn
        return
    place = min(int(row / 2), len(layers.clear) - 1), int(column / 2)
    if row >= layers.skyline_px[place[1]] or layers.clear[place] < _CLEAR:
        return
    left, right = (
        min(max(0.5 + frame.focal_px * math.tan(across + way * _GLOW) / frame.width_px, 0), 1)
        for way in (-1, 1)
    )
    top, bottom = (
        (frame.horizon_px - frame.focal_px * math.tan(up + way * _GLOW) / math.cos(across))
        / frame.height_px
        for way in (1, -1)
    )
    top, bottom = max(top, 0.0), min(bottom, 1.0)
    name = "moon" if scene.hour.name == "night" else "sun"
    yield LabelledBox(name, left, top, right - left, bottom - top)


def _parts(name: str, mask: NDArray[np.bool_]) -> Iterator[LabelledBox]:
    """The connected parts of a mask that are large enough, from the top down."""
    height, width = mask.shape
    found = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2]
    for left, top, across, down, area in found[1:].tolist():  # the first is the background
        if area >= MIN_AREA_SHARE * mask.size:
            yield LabelledBox(name, left / width, top / height, across / width, down / height)
