"""Power of pictures by spatial frequency. At high frequencies, samples that are too smooth lie
below real pictures, and samples with a grid or noise above them."""

import numpy as np
from numpy.typing import NDArray

from pdm.evaluation.distances.moments import Array

MAX_BINS = 32
LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709


def num_bins(height: int, width: int) -> int:
    """Number of bins for pictures of this size: as many as the shorter side resolves, up to
    `MAX_BINS`."""
    return max(1, min(MAX_BINS, min(height, width) // 2))


def frequencies(count: int) -> Array:
    """Centre of each of `count` bins, in cycles per pixel; 0.5 is the Nyquist frequency."""
    return (np.arange(count) + 1) * 0.5 / count


def power_spectra(pictures: NDArray[np.uint8]) -> Array:
    """Compute the mean power of the luma in each bin, (B, `num_bins`), for pictures (B, H, W, 3).

    The mean is subtracted and the borders are faded out by a Hann window, since their discontinuity
    would look like fine detail.
    """
    luma = pictures @ LUMA / 255
    height, width = luma.shape[1:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    faded = (luma - luma.mean((1, 2), keepdims=True)) * window
    power = np.abs(np.fft.rfft2(faded)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    count = num_bins(height, width)
    bins = np.round(radius / 0.5 * count).astype(np.int64) - 1
    inside = (bins >= 0) & (bins < count)
    sizes = np.bincount(bins[inside], minlength=count)
    sums = [np.bincount(bins[inside], spectrum[inside], count) for spectrum in power]
    return np.stack(sums) / np.maximum(sizes, 1)


def spectrum_difference(first: Array, second: Array) -> float:
    """Compute the root mean square difference of two mean spectra over the bins, in decibels."""
    floor = 1e-12
    difference = 10 * np.log10((first + floor) / (second + floor))
    return float(np.sqrt((difference**2).mean()))
