"""How sharp a picture is, and whether it holds the fine detail that its size promises.

Luma is uint8 (H, W). The limits stand in `params.yaml`; how they were found, in
`docs/decisions/curation.md`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLOCK_PX = 32  # for sharpness: small enough to lie wholly on a subject in focus
EDGE_RANGE = 25.5  # a block with less luma range holds no edge, only texture or noise

WINDOW_PX = 128  # for the spectrum: eight periods of the lowest frequency that is looked at
NUM_WINDOWS = 8
# Cycles per pixel; Nyquist is 0.5. A picture that was enlarged twice ends at 0.25. Of the bands and
# windows that were tried on photographs and their enlarged copies, these parted them best.
MIDDLE_BAND = (0.12, 0.25)
HIGH_BAND = (0.4, 0.5)
ROUNDING_NOISE = 1 / 12  # variance that 8-bit rounding adds, at all frequencies alike


def edges(luma: Luma) -> tuple[Floats, Floats]:
    """Largest step between neighbouring pixels, and range of luma, of each block."""
    size = min(BLOCK_PX, *luma.shape)
    blocks = _tiles(luma, size)
    ranges = _largest(blocks) - _smallest(blocks)
    across = _largest(_steps(blocks[:, :, 1:], blocks[:, :, :-1]))
    down = _largest(_steps(blocks[:, 1:], blocks[:, :-1]))
    return np.maximum(across, down).astype(np.float32), ranges.astype(np.float32)


def sharpness(steps: Floats, ranges: Floats) -> float:
    """How steep the steepest edges are, in [0, 1]; about 1 / (width of an edge in pixels).

    In each block the largest difference of neighbouring pixels is divided by the block's range of
    luma: 1 for a hard step, 0.4 / sigma for a step under a Gaussian blur. Blocks without an edge do
    not count, and the best twentieth of the others decides, so that a sharp subject before a soft
    background is sharp. 0 without any edge.
    """
    ratios = steps[ranges >= EDGE_RANGE] / ranges[ranges >= EDGE_RANGE]
    return float(np.quantile(ratios, 0.95)) if ratios.size else 0.0


def detail_share(ranges: Floats) -> float:
    """Share of the picture's blocks that hold an edge: 0 for a plain or a slow gradient."""
    return float((ranges >= EDGE_RANGE).mean())


def high_frequency(luma: Luma) -> float:
    """Spectral power per frequency in the high band over that in the middle band.

    Taken over the `NUM_WINDOWS` windows with most power in the middle band. A natural picture falls
    off as a power of the frequency (Field, 1987) and keeps some per cent; one that was enlarged
    keeps only the noise that was added afterwards. 0 for a picture without detail.
    """
    windows = _tiles(luma, min(WINDOW_PX, *luma.shape)).astype(np.float32)
    size = windows.shape[-1]
    windows -= windows.mean(axis=(-2, -1), keepdims=True)
    taper = np.hanning(size).astype(np.float32)
    windows *= taper * taper[:, None]
    spectrum = fft.rfft2(windows, overwrite_x=True)
    vertical, horizontal = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    frequency = np.hypot(vertical, horizontal)
    scale = np.square(taper).sum() ** 2
    middle = _power(spectrum, frequency, MIDDLE_BAND) / scale
    best = np.argsort(-middle, kind="stable")[:NUM_WINDOWS]
    high = _power(spectrum[best], frequency, HIGH_BAND) / scale
    signal = np.maximum(np.array([high, middle[best]]) - ROUNDING_NOISE, 0).sum(axis=1)
    return float(signal[0] / signal[1]) if signal[1] > 0 else 0.0


def _power(
    spectrum: NDArray[np.complex64], frequency: NDArray[np.float64], band: tuple[float, float]
) -> NDArray[np.float64]:
    """Mean power of each window in a band of frequencies."""
    within = (frequency >= band[0]) & (frequency < band[1])
    chosen = spectrum[:, within]
    power = np.square(chosen.real) + np.square(chosen.imag)
    mean: NDArray[np.float64] = power.mean(axis=1, dtype=np.float64)
    return mean


def _tiles(values: Luma, size: int) -> Luma:
    """(H, W) -> (number of tiles, size, size); what is left over at right and bottom is cut off."""
    rows, columns = values.shape[0] // size, values.shape[1] // size
    cut = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.ascontiguousarray(cut.swapaxes(1, 2)).reshape(-1, size, size)


def _largest(blocks: Luma) -> NDArray[np.int16]:
    largest: Luma = blocks.max(axis=1).max(axis=1)
    return largest.astype(np.int16)


def _smallest(blocks: Luma) -> NDArray[np.int16]:
    smallest: Luma = blocks.min(axis=1).min(axis=1)
    return smallest.astype(np.int16)


def _steps(ahead: Luma, behind: Luma) -> Luma:
    """Absolute difference, without leaving 8 bits."""
    steps: Luma = np.maximum(ahead, behind) - np.minimum(ahead, behind)
    return steps
