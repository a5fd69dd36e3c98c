"""Power of pictures by spatial frequency: samples that are too smooth fall below real pictures at
the right end, samples with a grid or noise rise above them."""

import numpy as np
from numpy.typing import NDArray

from pdm.evaluation.moments import Array

NUM_BINS = 32
LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709


def frequencies() -> Array:
    """Middle of each bin, in cycles per pixel; 0.5 is the finest detail that pixels can hold."""
    return (np.arange(NUM_BINS) + 0.5) * 0.5 / NUM_BINS


def power_spectra(pictures: NDArray[np.uint8]) -> Array:
    """Mean power of the luma in each bin, (B, NUM_BINS), for pictures (B, H, W, 3).

    The mean is taken away and the borders are faded out (Hann), or their jump would pass for fine
    detail. Bins that no frequency of a small picture falls into take their neighbour's power.
    """
    luma = pictures @ LUMA / 255
    height, width = luma.shape[1:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    faded = (luma - luma.mean((1, 2), keepdims=True)) * window
    power = np.abs(np.fft.rfft2(faded)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    bins = np.floor(radius / 0.5 * NUM_BINS).astype(np.int64)
    inside = (bins < NUM_BINS) & (radius > 0)
    counts = np.bincount(bins[inside], minlength=NUM_BINS)
    sums = np.stack([np.bincount(bins[inside], one[inside], NUM_BINS) for one in power])
    filled = np.flatnonzero(counts)
    return np.stack(
        [np.interp(np.arange(NUM_BINS), filled, one[filled] / counts[filled]) for one in sums]
    )


def spectrum_difference(first: Array, second: Array) -> float:
    """Root mean square difference of two mean spectra over the bins, in decibels."""
    floor = 1e-12
    difference = 10 * np.log10((first + floor) / (second + floor))
    return float(np.sqrt((difference**2).mean()))
