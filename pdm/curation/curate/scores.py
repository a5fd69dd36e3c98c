"""What is measured on a picture. Every score is taken on the finished crop, at its finished size.

That is what a model will see: a soft picture of 40 megapixels makes a sharp crop, and one that was
enlarged before it reached us makes a crop without fine detail, whatever its number of pixels.
Luma runs from 0 to 1. The limits stand in `params.yaml`; how they were found, in
`docs/decisions/curation.md`.
"""

from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.pixels import Pixels

Luma = NDArray[np.float32]

BLOCK_PX = 32  # for sharpness: small enough to lie wholly on a subject in focus
WINDOW_PX = 128  # for the spectrum: eight periods of the lowest frequency that is looked at
NUM_WINDOWS = 8
EDGE_RANGE = 0.1  # a block with less luma range holds no edge, only texture or noise

# Cycles per pixel; Nyquist is 0.5. A picture that was enlarged twice ends at 0.25. Of the bands and
# windows that were tried on photographs and their enlarged copies, these parted them best.
MIDDLE_BAND = (0.12, 0.25)
HIGH_BAND = (0.4, 0.5)
ROUNDING_NOISE = (1 / 255) ** 2 / 12  # variance that 8-bit rounding adds, at all frequencies alike


@dataclass(frozen=True, slots=True)
class Scores:
    """See the functions of the same names."""

    sharpness: float
    high_frequency: float
    detail_share: float
    contrast: float
    brightness: float


def measure(crop: Pixels) -> Scores:
    """All scores of a finished crop (H, W, 3), rounded to what is repeatable."""
    luma = luma_of(crop)
    slopes, ranges = _blocks(luma)
    values = (
        sharpness(slopes, ranges),
        high_frequency(luma),
        detail_share(ranges),
        contrast(luma),
        float(luma.mean(dtype=np.float64)),
    )
    return Scores(*(round(value, 5) for value in values))


def luma_of(pixels: Pixels) -> Luma:
    """Rec. 601 luma of (H, W, 3) pixels, in [0, 1]."""
    return np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32) / np.float32(255)


def sharpness(slopes: Luma, ranges: Luma) -> float:
    """How steep the steepest edges are, in [0, 1]; about 1 / (width of an edge in pixels).

    In each block the largest difference of neighbouring pixels is divided by the block's range of
    luma: 1 for a hard step, 0.4 / sigma for a step under a Gaussian blur. Blocks without an edge do
    not count, and the best twentieth of the others decides, so that a sharp subject before a soft
    background is sharp. 0 without any edge.
    """
    ratios = slopes[ranges >= EDGE_RANGE] / ranges[ranges >= EDGE_RANGE]
    return float(np.quantile(ratios, 0.95)) if ratios.size else 0.0


def detail_share(ranges: Luma) -> float:
    """Share of the picture's blocks that hold an edge: 0 for a plain or a slow gradient."""
    return float((ranges >= EDGE_RANGE).mean())


def contrast(luma: Luma) -> float:
    """Luma between the darkest and the brightest twentieth of the pixels."""
    low, high = np.quantile(luma, (0.05, 0.95))
    return float(high - low)


def high_frequency(luma: Luma) -> float:
    """Spectral power per frequency in the high band over that in the middle band.

    Taken over the `NUM_WINDOWS` windows with most power in the middle band. A natural picture falls
    off as a power of the frequency (Field, 1987) and keeps some per cent; one that was enlarged
    keeps only the noise that was added afterwards. 0 for a picture without detail.
    """
    windows = _tiles(luma, min(WINDOW_PX, *luma.shape))
    size = windows.shape[-1]
    taper = np.hanning(size).astype(np.float32)
    centred = windows - windows.mean(axis=(-2, -1), keepdims=True)
    tapered = centred * taper * taper[:, None]
    power = np.abs(np.fft.rfft2(tapered)) ** 2 / np.square(taper).sum() ** 2
    vertical, horizontal = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)
    frequency = np.hypot(vertical, horizontal)
    middle = power[:, _within(frequency, MIDDLE_BAND)].mean(axis=1)
    high = power[:, _within(frequency, HIGH_BAND)].mean(axis=1)
    best = np.argsort(-middle, kind="stable")[:NUM_WINDOWS]
    signal = np.maximum(np.array([high, middle])[:, best] - ROUNDING_NOISE, 0).sum(axis=1)
    return float(signal[0] / signal[1]) if signal[1] > 0 else 0.0


def perceptual_hash(pixels: Pixels) -> str:
    """256 bits in hexadecimal that change little under re-encoding, resizing and light edits."""
    return str(imagehash.phash(Image.fromarray(pixels), hash_size=16))


def _within(frequency: NDArray[np.float64], band: tuple[float, float]) -> NDArray[np.bool_]:
    return (frequency >= band[0]) & (frequency < band[1])


def _tiles(values: Luma, size: int) -> Luma:
    """(H, W) -> (number of tiles, size, size); what is left over at right and bottom is cut off."""
    rows, columns = values.shape[0] // size, values.shape[1] // size
    cut = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return cut.swapaxes(1, 2).reshape(-1, size, size)


def _blocks(luma: Luma) -> tuple[Luma, Luma]:
    """Largest step between neighbouring pixels, and range of luma, of each block."""
    size = min(BLOCK_PX, *luma.shape)
    blocks = _tiles(luma, size)
    across = np.abs(np.diff(blocks, axis=2)).max(axis=(1, 2))
    down = np.abs(np.diff(blocks, axis=1)).max(axis=(1, 2))
    return np.maximum(across, down), blocks.max(axis=(1, 2)) - blocks.min(axis=(1, 2))
