"""Measures a picture: the scores that the rules compare with their limits.

Most scores are measured on the finished crop at its finished size, which is what a model will see:
a soft picture of 40 megapixels can make a sharp crop, and a picture that was enlarged earlier makes
a crop without fine detail, whatever its number of pixels. If a JPEG decoder has reduced the picture
to a little less than that (by a tenth at most), the crop is measured at that size; a picture that
is too small for the crop, at its own. Luma and shares are from 0 to 1.

The limits are in `params.yaml`; `docs/decisions/curation.md` describes how they were chosen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.config.fields import Mark, fields_without
from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.scores import focus, origin
from pdm.data.decoding.resize import downscale
from pdm.data.pixels import Pixels

# The settings that stored scores depend on, besides code (`cache.MEASURING`). Other settings of
# section `curate` are limits, with which `rules.reason` compares stored scores.
SCORE_SETTINGS = fields_without(CurateConfig, Mark.LIMIT_OF_SCORES)

BLACK, WHITE = 3, 252  # luma of 255; beyond these, no detail can be distinguished

Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scores:
    """See the functions of the same names here, in `focus` and in `origin`. The score `drawing`,
    which is learned, is in `pdm.curation.curate.scores.drawing`."""

    sharpness: float
    high_frequency: float
    detail_share: float
    contrast: float
    brightness: float
    black_share: float
    white_share: float
    colour: float
    blocking: float
    repetition: float


def measure(crop: Pixels, decoded: Pixels, reduction: int) -> Scores:
    """All scores of a picture, rounded to the digits that every machine gives alike.

    Args:
        crop: (H, W, 3), the finished crop.
        decoded: (h, w, 3), the same part of the picture as decoded, never smaller.
        reduction: The factor by which the decoder has reduced it.
    """
    luma = luma_of(crop)
    steps, ranges = focus.edges(luma)
    profiles = origin.profiles(luma_of(decoded))
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel().astype(float) / luma.size
    sharpness = focus.sharpness(steps, ranges)
    values = (
        sharpness,
        focus.high_frequency(luma, sharpness),
        focus.detail_share(ranges),
        contrast(counts),
        float(counts @ np.arange(256)) / 255,
        float(counts[: BLACK + 1].sum()),
        float(counts[WHITE:].sum()),
        origin.colour(crop),
        origin.blocking(profiles, reduction),
        origin.repetition(profiles),
    )
    return Scores(*(round(value, 5) for value in values))


def luma_of(pixels: Pixels) -> Luma:
    """Rec. 601 luma of (H, W, 3) pixels, in whole levels."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def contrast(counts: NDArray[np.float64]) -> float:
    """Difference of the 95th and the 5th percentile of luma, from the share of each level."""
    low, high = np.searchsorted(np.cumsum(counts), (0.05 - 1e-9, 0.95 - 1e-9))
    return float(high - low) / 255


def reduce_to(pixels: Pixels, longer_side_px: int) -> Pixels:
    """Reduce a picture, antialiased, to a longer side of at most `longer_side_px`."""
    height_px, width_px = pixels.shape[:2]
    scale = longer_side_px / max(height_px, width_px)
    if scale >= 1:
        return pixels
    return downscale(pixels, max(1, round(width_px * scale)), max(1, round(height_px * scale)))
