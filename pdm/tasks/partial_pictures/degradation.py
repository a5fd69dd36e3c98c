"""Small pictures from large ones, to learn enlarging from, and back."""

import cv2
import numpy as np
from PIL import Image

from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels

BACK_PROJECTIONS = 4  # each brings the means nearer where values were clipped
NOISE_LEVELS = (1.0, 2.0)  # standard deviations of 255, as in BSR-light
QUALITIES = (80, 95)


def degrade(pixels: Pixels, config: SuperResolutionTask, rng: np.random.Generator) -> Pixels:
    """Reduce a picture (H, W, 3), whose sides are multiples of the factor, by the factor."""
    height, width = (side // config.factor for side in pixels.shape[:2])
    if config.degradation == "bicubic":
        return _resize(pixels, height, width, Image.Resampling.BICUBIC)
    return _degrade_blindly(pixels, height, width, config.factor, rng)


def enlarge(pixels: Pixels, height: int, width: int) -> Pixels:
    """Enlarge a picture by a bicubic filter."""
    return _resize(pixels, height, width, Image.Resampling.BICUBIC)


def back_project(drawn: Pixels, small: Pixels) -> Pixels:
    """Correct an enlarged picture so that its cells' means are the pixels of the small one.

    The difference is added, enlarged smoothly (iterative back-projection; Irani and Peleg, 1991).

    Args:
        drawn: uint8 (N H, N W, 3).
        small: uint8 (H, W, 3).
    """
    height, width = small.shape[:2]
    result = drawn.astype(np.float32)
    for _ in range(BACK_PROJECTIONS):
        means = cv2.resize(result, (width, height), interpolation=cv2.INTER_AREA)
        missing = np.subtract(small, means, dtype=np.float32)
        full = (result.shape[1], result.shape[0])
        result += cv2.resize(missing, full, interpolation=cv2.INTER_LINEAR)
        result = result.clip(0, 255)
    corrected: Pixels = result.round().astype(np.uint8)
    return corrected


def _degrade_blindly(
    pixels: Pixels, height: int, width: int, factor: int, rng: np.random.Generator
) -> Pixels:
    """BSR-light of LDM (after Zhang et al., arXiv:2103.14006): blur, noise and JPEG in a random
    order, the exact reduction after them, and a JPEG at the end."""
    steps = [_blur, _add_noise, _compress]
    for number in rng.permutation(len(steps)):
        pixels = steps[number](pixels, factor, rng)
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX)
    small = _resize(pixels, height, width, filters[rng.integers(len(filters))])
    return _compress(small, factor, rng)


def _blur(pixels: Pixels, factor: int, rng: np.random.Generator) -> Pixels:
    """A Gaussian with widths of its own in two directions, up to those of BSR-light."""
    widths = rng.uniform(0.1, 1 + 0.1 * factor, 2)
    blurred = cv2.GaussianBlur(pixels, (0, 0), float(widths[0]), sigmaY=float(widths[1]))
    return np.asarray(blurred, np.uint8)


def _add_noise(pixels: Pixels, factor: int, rng: np.random.Generator) -> Pixels:
    """Noise of every colour by itself, or of the brightness alone."""
    channels = 3 if rng.random() < 0.5 else 1
    noise = rng.normal(0, rng.uniform(*NOISE_LEVELS), (*pixels.shape[:2], channels))
    noisy: Pixels = (pixels + noise).round().clip(0, 255).astype(np.uint8)
    return noisy


def _compress(pixels: Pixels, factor: int, rng: np.random.Generator) -> Pixels:
    quality = int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _resize(pixels: Pixels, height: int, width: int, how: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))
