"""Sharpness of a picture, and whether it has the fine detail that its size allows.

Luma is uint8 (H, W). The limits are in `params.yaml`; `docs/decisions/curation.md` describes how
they were chosen.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Floats = NDArray[np.float32]

BLOCK_PX = 32  # for sharpness: small enough to be entirely on a subject in focus
EDGE_RANGE = 32  # a block with less luma range has no edge, only texture or noise
STEP_NOISE = 4  # grey levels between neighbours that strong JPEG compression alone causes

WINDOW_PX = 128  # for the spectrum: more than eight periods of the lowest frequency used
NUM_WINDOWS = 8
# Cycles per pixel; Nyquist is 0.5. A picture that was enlarged by 2 has none above 0.25. Of the
# bands and windows that were tried, these separated photographs from their enlarged copies best.
MIDDLE_BAND = (0.12, 0.25)
HIGH_BAND = (0.4, 0.5)
ROUNDING_NOISE = 1 / 12  # variance that 8-bit rounding adds, at all frequencies alike
# These combine the three signs of fine detail into one score with one limit. They were chosen on
# photographs and enlarged copies of them: docs/decisions/curation.md.
MIN_STRENGTH = 0.2  # of the strongest windows' power; fine detail in weaker ones may be noise
WEIGHT_OF_SHARPEST, WEIGHT_OF_SHARPNESS = 0.7, 0.013


def edges(luma: Luma) -> tuple[Floats, Floats]:
    """The largest step between neighbouring pixels, and the range of luma, of each block."""
    size = min(BLOCK_PX, *luma.shape)
    height, width = (side // size * size for side in luma.shape)
    blocks = np.ascontiguousarray(luma[:height, :width])
    ranges = _reduce_blocks(np.maximum, blocks, size) - _reduce_blocks(np.minimum, blocks, size)
    steps = np.zeros_like(blocks)
    steps[:, 1:] = cv2.absdiff(blocks[:, 1:], blocks[:, :-1])
    steps[:, ::size] = 0  # from the block before
    across = _reduce_blocks(np.maximum, steps, size)
    steps[:] = 0
    steps[1:] = cv2.absdiff(blocks[1:], blocks[:-1])
    steps[::size] = 0
    down = _reduce_blocks(np.maximum, steps, size)
    return np.maximum(across, down).astype(np.float32), ranges.astype(np.float32)


def sharpness(steps: Floats, ranges: Floats) -> float:
    """Steepness of the steepest edges, in [0, 1]; about 1 / (width of an edge in pixels).

    In each block, the largest difference of neighbouring pixels is divided by the block's range of
    luma, both minus what compression may have added: 1 for a hard step, 0.4 / sigma for a step with
    a Gaussian blur. Blocks without an edge do not count. The result is the 95th percentile of the
    others, so that a sharp subject before a soft background counts as sharp. 0 without edges.

    Of 18 crops of twelve photographs, at widths of 1024 and 2048, the least sharp has 0.27, also at
    JPEG quality 60; blurred with sigma 3 and more and saved at quality 50 to 90, at most 0.21.
    """
    has_edge = ranges >= EDGE_RANGE
    ratios = np.maximum(steps[has_edge] - STEP_NOISE, 0) / (ranges[has_edge] - STEP_NOISE)
    return float(np.quantile(ratios, 0.95)) if ratios.size else 0.0


def detail_share(ranges: Floats) -> float:
    """Share of the picture's blocks that have an edge: 0 for a plain or a smooth gradient."""
    return float((ranges >= EDGE_RANGE).mean())


def high_frequency(luma: Luma, sharpness: float) -> float:
    """How much detail is as fine as the pixels allow: the largest of three signs of it.

    A natural image's power falls off as a power of the frequency (Field, 1987), so that its high
    band has a few per cent of the power of the middle one; an enlarged image has only the noise
    that was added afterwards. The first sign is that share, over the `NUM_WINDOWS` windows with
    most power in the middle band. These windows may be on a soft background behind a sharp subject,
    so the second sign is the same over the strong windows with the largest share. The third is
    `sharpness`, since interpolation leaves no edges as steep as a lens does. 0 without any detail.
    """
    spectrum, frequency = _spectrum(luma)
    middle = _power(spectrum, frequency, MIDDLE_BAND)
    strong = np.argsort(-middle, kind="stable")
    strong = strong[middle[strong] > MIN_STRENGTH * middle[strong[:NUM_WINDOWS]].mean()]
    if not strong.size:
        return 0.0
    middle, high = middle[strong], _power(spectrum[strong], frequency, HIGH_BAND)
    sharpest = np.argsort(-high / middle, kind="stable")[:NUM_WINDOWS]
    signs = (
        high[:NUM_WINDOWS].sum() / middle[:NUM_WINDOWS].sum(),
        WEIGHT_OF_SHARPEST * high[sharpest].sum() / middle[sharpest].sum(),
        WEIGHT_OF_SHARPNESS * sharpness,
    )
    return float(max(signs))


def _spectrum(luma: Luma) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """The spectrum of each window (N, size, size // 2 + 1), and frequencies in cycles per pixel.

    White noise of variance 1 has power 1.
    """
    windows = _tiles(luma, min(WINDOW_PX, *luma.shape)).astype(np.float32)
    size = windows.shape[-1]
    windows -= windows.mean(axis=(-2, -1), keepdims=True)
    taper = np.hanning(size)
    taper = (taper / np.linalg.norm(taper)).astype(np.float32)
    windows *= taper * taper[:, None]
    spectrum = torch.fft.rfft2(torch.from_numpy(windows)).numpy()  # twice as fast as SciPy's
    vertical, horizontal = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    return spectrum, np.hypot(vertical, horizontal)


def _power(
    spectrum: NDArray[np.complex64], frequency: NDArray[np.float64], band: tuple[float, float]
) -> NDArray[np.float64]:
    """Mean power of each window in a band of frequencies, minus that of rounding."""
    within = (frequency >= band[0]) & (frequency < band[1])
    chosen = spectrum[:, within]
    power = np.square(chosen.real) + np.square(chosen.imag)
    mean: NDArray[np.float64] = power.mean(axis=1, dtype=np.float64)
    return np.maximum(mean - ROUNDING_NOISE, 0)


def _tiles(values: Luma, size: int) -> Luma:
    """(H, W) -> (number of tiles, size, size), without incomplete tiles at right and bottom."""
    rows, columns = values.shape[0] // size, values.shape[1] // size
    tiles = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return np.ascontiguousarray(tiles.swapaxes(1, 2)).reshape(-1, size, size)


def _reduce_blocks(extreme: np.ufunc, values: Luma, size: int) -> NDArray[np.uint8]:
    """The largest or smallest value of each block, row by row; sides are multiples of `size`."""
    rows, columns = values.shape[0] // size, values.shape[1] // size
    # Along columns first: processors compare rows with vector instructions, 64 bytes at a time.
    lines = extreme.reduce(values.reshape(rows, size, -1), axis=1)
    extremes: NDArray[np.uint8] = extreme.reduce(lines.reshape(rows, columns, size), axis=2)
    return extremes.ravel()
