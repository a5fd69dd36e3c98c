"""The layers at full size, with their finest textures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Colour, Field, doubled, mix
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.textures import Textures, deviation
from pdm.curation.scrape.drawing.layers import Layers

# Doubling takes whole numbers of 16 bits. One for 1 / km (the nearest land is at 0.08 km):
_NEARNESS = 5000.0
_STRENGTH = 8000.0  # for the strength of a texture
_MAX_UINT16 = 65535
_FAINTEST = 0.01  # a texture whose strength is below it does not show


@dataclass(frozen=True, slots=True)
class Finest:
    """Works out strips of a picture at full size."""

    frame: Frame
    layers: Layers
    textures: Textures
    balance: Colour  # factors of red, green and blue
    offset: int  # cells by which the finest texture is moved

    def strip(self, first: int, last: int) -> list[NDArray[np.uint16]]:
        """Planes of red, green and blue, linear light times `balance`, of the pixels' rows that
        belong to coarse rows from `first` up to but without `last`."""
        layers = self.layers
        start = max(first, layers.top)
        if start >= last:
            return [
                self._enlarged(plane, factor, first, last)
                for plane, factor in zip(layers.sky, self.balance, strict=True)
            ]
        land = self._land(start, last)
        covered = self._covered(start, last)
        if covered is None:
            return land
        seen = min(last, layers.sky.shape[1])
        planes = []
        for plane, factor, ground in zip(layers.sky, self.balance, land, strict=True):
            above = self._enlarged(plane, factor, first, seen)
            part = slice(2 * (start - first), len(above))
            ground[: len(above) - part.start] = mix(
                above[part].astype(np.float32),
                ground[: len(above) - part.start].astype(np.float32),
                covered[: len(above) - part.start],
            ).astype(np.uint16)
            planes.append(np.concatenate([above[: part.start], ground]))
        return planes

    def _land(self, first: int, last: int) -> list[NDArray[np.uint16]]:
        layers = self.layers
        own, end = first - layers.top, last - layers.top
        planes = [
            self._enlarged(plane, factor, own, end)
            for plane, factor in zip(layers.land, self.balance, strict=True)
        ]
        detail = self._detail(own, end)
        if detail is None:
            return planes
        return [np.clip(plane * detail, 0, _MAX_UINT16).astype(np.uint16) for plane in planes]

    def _covered(self, first: int, last: int) -> Field | None:
        """How much of each pixel is land; None if all of them are."""
        skyline = self.layers.skyline_px
        if 2 * first >= skyline.max():
            return None
        width = self.frame.width_px
        fine = np.empty(2 * len(skyline), np.float32)
        fine[0::2] = skyline
        fine[1:-1:2] = 0.5 * (skyline[:-1] + skyline[1:])
        below = np.arange(2 * first, 2 * last, dtype=np.float32)[:, None] + 1.0
        return np.asarray(np.clip(below - fine[:width], 0, 1))

    def _detail(self, first: int, last: int) -> Field | None:
        """Brightness of the land over that of its layer; None where that is all."""
        layers, textures = self.layers, self.textures
        gritty = bool(layers.grit[first:last].max() > _FAINTEST)
        wooded = bool(layers.wood[first:last].max() > _FAINTEST)
        if not gritty and not wooded:
            return None
        nearness = self._enlarged(layers.nearness, _NEARNESS, first, last)
        distance = np.float32(_NEARNESS) / nearness
        right = self.frame.right_of_pixels()
        detail: Field = np.ones(distance.shape, np.float32)
        if gritty:
            grit = deviation(textures.grit.read(distance, right, self.offset))
            strength = self._enlarged(layers.grit, _STRENGTH, first, last)
            detail += grit * (strength * np.float32(1 / _STRENGTH))
        if wooded:
            strength = self._enlarged(layers.wood, _STRENGTH, first, last)
            crown = textures.crowns.read(distance, right)
            detail += crown * (strength * np.float32(1 / (255 * _STRENGTH)))
        return np.clip(detail, 0.2, 2.5)

    def _enlarged(self, field: Field, factor: float, first: int, last: int) -> NDArray[np.uint16]:
        """Some rows of a layer at full size, times a factor, as whole numbers."""
        low, high = max(first - 1, 0), min(last + 1, len(field))
        part = np.clip(field[low:high] * np.float32(factor), 0, _MAX_UINT16).astype(np.uint16)
        return doubled(part)[2 * (first - low) : 2 * (last - low), : self.frame.width_px]
