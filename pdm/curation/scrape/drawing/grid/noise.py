"""Noise that repeats without a seam: row and column 0 continue the last ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Field, Sampler, doubled

_BYTE_DEVIATION = 73.9  # standard deviation of evenly spread bytes
_DEVIATION = 2500  # of the sum of all octaves, as whole numbers
# Standard deviation of white noise after it was doubled so many times, over that before.
_SMOOTHED = (1.0, 0.547, 0.496, 0.483, 0.480, 0.479)
_STRIP = 32  # rows
_FINE = 2**14  # whole numbers for 1
_OCTAVE = 100  # whole numbers for a level of white noise
# As steep as rock.
_CREST = 0.5 / (_OCTAVE * _BYTE_DEVIATION * _SMOOTHED[-1])


def fractal(
    size: int,
    coarsest: int,
    roughness: float,
    random: np.random.Generator,
    finest: int | None = None,
) -> Field:
    """Sum of octaves of value noise, each twice as fine as the one before.

    Args:
        size: Side in cells, a power of two.
        coarsest: Bumps per side in the first octave, a power of two.
        roughness: Amplitude of an octave over that of the one before; 0.5 looks like land.
        finest: Bumps per side in the last octave; None for half of `size`.

    Returns:
        (size, size), mean 0, standard deviation about 1.
    """
    sides = [coarsest]
    while sides[-1] < (finest or size // 2):
        sides.append(2 * sides[-1])
    doublings = [(size // side).bit_length() - 1 for side in sides]
    parts = [roughness**octave * _smoothed(n) for octave, n in enumerate(doublings)]
    unit = _DEVIATION / (_BYTE_DEVIATION * sum(part * part for part in parts) ** 0.5)
    total = np.zeros((coarsest, coarsest), np.int16)
    for octave, side in enumerate(sides):
        total += _white(side, random) * np.int16(round(unit * roughness**octave))
        if octave == 0:
            total -= np.int16(int(total.sum(dtype=np.int64)) // total.size)
        if len(total) < size:
            total = _doubled_without_seam(total)
    while len(total) < size:
        total = _doubled_without_seam(total)
    return np.asarray(total * np.float32(1 / _DEVIATION))


def ridged(size: int, coarsest: int, roughness: float, random: np.random.Generator) -> Field:
    """Sharp crests and branching valleys: octaves of 1 - |noise|, finer ones stronger on crests
    (Musgrave's ridged multifractal).

    Returns:
        (size, size), values in [0, 1].
    """
    octaves = []
    bumps = coarsest
    while bumps <= size // 2:
        octave = _white(bumps, random) * np.int16(_OCTAVE)
        while len(octave) < size:
            octave = _doubled_without_seam(octave)
        octaves.append(octave)
        bumps *= 2
    total: Field = np.empty((size, size), np.float32)
    for first in range(0, size, _STRIP):
        rows = slice(first, first + _STRIP)
        total[rows] = _crests([octave[rows] for octave in octaves], roughness)
    lowest = total.min()
    total -= lowest
    total *= np.float32(1 / max(float(total.max()), 1e-6))
    return total


def _crests(octaves: list[NDArray[np.int16]], roughness: float) -> Field:
    total: Field = np.zeros(octaves[0].shape, np.float32)
    weight: Field = np.ones(octaves[0].shape, np.float32)
    amplitude = 1.0
    for octave in octaves:
        crest = 1.0 - np.clip(np.abs(octave * np.float32(_CREST)), 0, 1)
        weight *= crest
        weight *= crest
        total += np.float32(amplitude) * weight
        weight = np.clip(weight * np.float32(1.8), 0, 1)
        amplitude *= roughness
    return total


def refined(crests: Field, random: np.random.Generator) -> Field:
    """Twice the side, with one more octave of ridges on the crests.

    Args:
        crests: (size, size), values in [0, 1].
    """
    whole = _doubled_without_seam((crests * np.float32(_FINE)).astype(np.int16))
    octave = _doubled_without_seam(_white(len(crests), random) * np.int16(_OCTAVE))
    fine: Field = np.empty(whole.shape, np.float32)
    for first in range(0, len(whole), _STRIP):
        rows = slice(first, first + _STRIP)
        crest = 1.0 - np.clip(np.abs(octave[rows] * np.float32(_CREST)), 0, 1)
        fine[rows] = whole[rows] * (
            np.float32(1 / _FINE) * (1.0 + np.float32(0.008) * crest * crest)
        )
    return fine


def warped(field: Field, by: Field, cells: float) -> Field:
    """Shift every cell by about `cells` along a second noise, which bends straight features."""
    size = len(field)
    steps = np.arange(size, dtype=np.float32)
    shift = np.float32(cells) * by
    other = np.roll(shift, (size // 3, size // 5), (0, 1))
    moved: Field = np.empty_like(field)
    for first in range(0, size, _STRIP):
        rows = slice(first, first + _STRIP)
        at = Sampler(size, steps + shift[rows], steps[rows, None] + other[rows])
        moved[rows] = at.read(field)
    return moved


def _smoothed(doublings: int) -> float:
    return _SMOOTHED[min(doublings, len(_SMOOTHED) - 1)]


def _white(side: int, random: np.random.Generator) -> NDArray[np.int16]:
    values = np.frombuffer(random.bytes(side * side), np.int8)
    return values.astype(np.int16).reshape(side, side)


def _doubled_without_seam(field: NDArray[np.int16]) -> NDArray[np.int16]:
    side = 2 * len(field)
    padded = cv2.copyMakeBorder(field, 1, 1, 1, 1, cv2.BORDER_WRAP)
    return doubled(np.asarray(padded))[2 : side + 2, 2 : side + 2]
