"""How sharp a picture is, and whether it holds the fine detail that its size promises.

Luma is uint8 (H, W). The limits stand in `params.yaml`; how they were found, in
`docs/decisions/curation.md`.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLOCK_PX = 32  # for sharpness: small enough to lie wholly on a subject in focus
EDGE_RANGE = 32  # a block with less luma range holds no edge, only texture or noise
STEP_NOISE = 4  # grey levels between neighbours that strong JPEG compression makes on its own

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
    height, width = (side // size * size for side in luma.shape)
    whole = np.ascontiguousarray(luma[:height, :width])
    ranges = _of_blocks(np.maximum, whole, size) - _of_blocks(np.minimum, whole, size)
    steps = np.zeros_like(whole)
    steps[:, 1:] = cv2.absdiff(whole[:, 1:], whole[:, :-1])
    steps[:, ::size] = 0  # from the block before
    across = _of_blocks(np.maximum, steps, size)
    steps[:] = 0
    steps[1:] = cv2.absdiff(whole[1:], whole[:-1])
    steps[::size] = 0
    down = _of_blocks(np.maximum, steps, size)
    return np.maximum(across, down).astype(np.float32), ranges.astype(np.float32)


def sharpness(steps: Floats, ranges: Floats) -> float:
    """How steep the steepest edges are, in [0, 1]; about 1 / (width of an edge in pixels).

    In each block the largest difference of neighbouring pixels is divided by the block's range of
    luma, both less what compression may have added: 1 for a hard step, 0.4 / sigma for a step under
    a Gaussian blur. Blocks without an edge do not count, and the best twentieth of the others
    decides, so that a sharp subject before a soft background is sharp. 0 without any edge.

    Of 18 crops of twelve photographs, at widths of 1024 and 2048, the least sharp has 0.27, also at
    JPEG quality 60; blurred with sigma 3 and more and saved at quality 50 to 90, at most 0.21.
    """
    edged = ranges >= EDGE_RANGE
    ratios = np.maximum(steps[edged] - STEP_NOISE, 0) / (ranges[edged] - STEP_NOISE)
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
    spectrum = torch.fft.rfft2(torch.from_numpy(windows)).numpy()  # twice as fast as SciPy's
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


def _of_blocks(extreme: np.ufunc, values: Luma, size: int) -> NDArray[np.uint8]:
    """The largest or smallest value of each block, row by row; sides are whole blocks."""
    rows, columns = values.shape[0] // size, values.shape[1] // size
    # Down first: whole rows against each other is what a processor does sixty-four at a time.
    lines = extreme.reduce(values.reshape(rows, size, -1), axis=1)
    found: NDArray[np.uint8] = extreme.reduce(lines.reshape(rows, columns, size), axis=2)
    return found.ravel()
