"""Gives an enlarged image the colours of the image that it was made from, band by band.

Two methods, both of StableSR (Wang et al., arXiv:2305.07015; `scripts/wavelet_color_fix.py`):

- `adain`: each channel gets the mean and standard deviation of the original, enlarged by a bicubic
  filter. They are those of the whole image, so its bands wait on the disk until all are there.
- `wavelet`: all detail coarser than about 32 pixels is that of the original, the finer is kept.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pdm.config.sampling.any_size import Colour
from pdm.data.large_pictures.rows import cut_rows
from pdm.data.pixels import Pixels

LEVELS = 5  # of the wavelet decomposition
REACH = 2**LEVELS - 1  # pixels that its blurs reach together
BAND_ROWS = 128  # corrected at once
MIN_STD = 1e-3  # of 255; a channel without detail keeps its scale

Values = NDArray[np.float32]  # (H, W, 3)


class Reference(Protocol):
    """The original, enlarged to the size of the result."""

    def crop(self, top: int, left: int, height: int, width: int) -> Pixels:
        """Return a part, uint8 (height, width, 3)."""


def correct_colour(
    how: Colour,
    bands: Iterable[Pixels],
    reference: Reference,
    size: tuple[int, int],
    scratch: Path,
) -> Iterator[Pixels]:
    """Correct the colours of an image.

    Args:
        how: The method; `none` passes the bands on.
        bands: uint8 (rows, W, 3), from the top.
        reference: What has the right colours.
        size: (H, W) of both.
        scratch: File for the bands of `adain`; the caller removes it.

    Yields:
        uint8 (rows, W, 3). The pixels do not depend on how many rows a band has.
    """
    if how == "none":
        return iter(bands)
    if how == "adain":
        return _match_statistics(bands, reference, size, scratch)
    return _match_coarse_detail(bands, reference, size)


def _match_statistics(
    bands: Iterable[Pixels], reference: Reference, size: tuple[int, int], scratch: Path
) -> Iterator[Pixels]:
    own, wanted, top = _Statistics(), _Statistics(), 0
    with scratch.open("wb") as file:
        for band in bands:
            own.add(band)
            wanted.add(reference.crop(top, 0, *band.shape[:2]))
            top += len(band)
            file.write(np.ascontiguousarray(band).data)
    scale = np.where(own.std > MIN_STD, wanted.std / np.maximum(own.std, MIN_STD), 1.0)
    shift = wanted.mean - scale * own.mean
    # One byte has 256 values, so a table says it all.
    table = _round(np.arange(256)[:, None] * scale + shift)
    with scratch.open("rb") as file:
        for start in range(0, size[0], BAND_ROWS):
            rows = min(BAND_ROWS, size[0] - start)
            read = np.frombuffer(file.read(rows * size[1] * 3), np.uint8)
            band = read.reshape(rows, size[1], 3)
            yield np.stack([table[band[..., c], c] for c in range(3)], axis=-1)


class _Statistics:
    """Mean and standard deviation of each channel, exact whatever the bands."""

    def __init__(self) -> None:
        self.histogram = np.zeros((3, 256), np.int64)

    def add(self, band: Pixels) -> None:
        """Count the values of some rows."""
        for channel in range(3):
            self.histogram[channel] += np.bincount(band[..., channel].ravel(), minlength=256)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each channel, (3,)."""
        return self._average(np.arange(256.0))

    @property
    def std(self) -> NDArray[np.float64]:
        """Of each channel, (3,)."""
        centred = np.arange(256.0) - self.mean[:, None]
        return np.sqrt(self._average(centred**2))

    def _average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        averages: NDArray[np.float64] = (self.histogram * values).sum(1) / self.histogram.sum(1)
        return averages


def _match_coarse_detail(
    bands: Iterable[Pixels], reference: Reference, size: tuple[int, int]
) -> Iterator[Pixels]:
    """Add the blurred difference: taking the blurred image away and adding the blurred original
    is the same, since blurring is linear."""
    waiting, first = np.empty((0, size[1], 3), np.uint8), 0  # rows from `first`
    done = 0
    for band in cut_rows(bands, BAND_ROWS):
        waiting = np.concatenate([waiting, band])
        end = first + len(waiting)
        ready = end if end == size[0] else end - REACH
        if ready <= done:
            continue
        original = reference.crop(first, 0, len(waiting), size[1])
        blurred = _blur(np.subtract(original, waiting, dtype=np.float32))
        rows = slice(done - first, ready - first)
        yield _round(waiting[rows] + blurred[rows])
        done = ready
        kept = max(done - REACH, 0)
        waiting, first = waiting[kept - first :], kept


def _blur(values: Values) -> Values:
    """Keep the detail that is coarser than all levels of the decomposition ("a trous" wavelets with
    the filter 1 2 1 along each axis); edges are repeated."""
    for level in range(LEVELS):
        for axis in (0, 1):
            values = _blur_axis(values, 2**level, axis)
    return values


def _blur_axis(values: Values, radius: int, axis: int) -> Values:
    margins = [(radius, radius) if each == axis else (0, 0) for each in range(3)]
    wide, side = np.moveaxis(np.pad(values, margins, "edge"), axis, 0), values.shape[axis]
    sides = np.moveaxis(wide[:side] + wide[2 * radius :], 0, axis)
    return sides / np.float32(4) + values / np.float32(2)


def _round(values: NDArray[np.floating]) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)
