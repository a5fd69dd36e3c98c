"""Where a picture comes from: a colour camera, a strong JPEG, a smaller picture.

Taken on 8-bit pixels as they were decoded, before the crop is reduced to its finished size, or on
the finished crop; each function says which. How well each parts pictures stands in
`docs/decisions/curation.md`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.data.decoding.pixels import downscale
from pdm.data.pixels import Pixels

Luma = NDArray[np.uint8]
Profile = NDArray[np.float32]

JPEG_BLOCK_PX = 8
STEP_FLOOR = 0.7  # grey levels; steps of less inside a block are as good as none
REPEATED = 0.4  # of the largest step nearby: less is a row that was written twice
REPEAT_REACH_ROWS = 7  # nearest-neighbour enlarging by up to 7 has one real step in so many rows
MIN_STEP = 1.5  # grey levels: in smooth pictures a JPEG makes rows equal too
TONES = 64  # of luma, for `colour`
COLOUR_COPY_PX = (64, 32)


def profiles(luma: Luma) -> tuple[Profile, Profile]:
    """Mean step from each column to the next, (W - 1,), and from each row to the next, (H - 1,)."""
    across = cv2.absdiff(luma[:, 1:], luma[:, :-1])
    down = cv2.absdiff(luma[1:], luma[:-1])
    columns = cv2.reduce(across, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    rows = cv2.reduce(down, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    return columns.astype(np.float32), rows.astype(np.float32)


def blocking(steps: tuple[Profile, Profile], reduction: int) -> float:
    """How much larger the steps across the borders of JPEG blocks are than those inside.

    (step across - step inside) / (step inside + 0.7 grey levels), for the grid's best offset and
    the weaker of the two directions. Measured before the crop is reduced, on whole pixels of the
    decoder. A photograph has 0 to 0.5, at JPEG quality 50 up to 0.8, at 10 from 0.8 on. 0 if the
    decoder has reduced the picture so far that blocks are smaller than 4 pixels: nobody sees them.
    """
    period = JPEG_BLOCK_PX // reduction
    if period < 4 or min(map(len, steps)) < 4 * period:
        return 0.0
    return max(0.0, min(_excess(profile, period) for profile in steps))


def _excess(profile: Profile, period: int) -> float:
    whole = profile[: len(profile) // period * period].reshape(-1, period)
    means = whole.mean(axis=0, dtype=np.float64)
    inside = (means.sum() - means.max()) / (period - 1)
    return float((means.max() - inside) / (inside + STEP_FLOOR))


def repetition(steps: tuple[Profile, Profile]) -> float:
    """Share of rows and columns that repeat their neighbour, the smaller share of both.

    A picture enlarged by nearest neighbour has up to 1 - 1 / factor, a photograph next to none, but
    strong JPEG compression makes rows of smooth parts equal too. Measured before the crop is
    reduced. Of 24 versions of twelve photographs more than 0.25 have: none at JPEG quality 75, one
    each at 60 and 50, 11 to 14 when enlarged twice, 7 to 18 when enlarged three times; smooth ones
    among these are missed here, not by `focus.high_frequency`.
    """
    return min(_repeated(profile) for profile in steps)


def _repeated(profile: Profile) -> float:
    if not profile.size:
        return 0.0
    nearby = cv2.dilate(profile[:, None], np.ones((REPEAT_REACH_ROWS, 1), np.uint8)).ravel()
    return float(((profile < REPEATED * nearby) & (nearby > MIN_STEP)).mean())


def colour(pixels: Pixels) -> float:
    """How far colours differ among parts of equal brightness: 0 for grey, and for a tinted grey.

    Root mean square distance, of full scale, of (Cb, Cr) from the mean of all parts with the same
    luma (in 64 steps), on a copy of 64 by 32, whose pixels are larger than a JPEG's blocks of
    colour. At a crop of 1024 x 512, twelve photographs have 0.0049 (a grey-green board) to 0.16,
    built-in landscapes 0.02 and more; the same photographs in grey 0, in sepia, a pale tint or two
    tones at most 0.0027 after a JPEG of quality 60.
    """
    small = downscale(pixels, *COLOUR_COPY_PX)
    values = small.astype(np.float32) / 255
    luma, *others = cv2.cvtColor(values, cv2.COLOR_RGB2YCrCb).reshape(-1, 3).T.astype(np.float64)
    tone = np.minimum((luma * TONES).astype(np.int64), TONES - 1)
    count = np.maximum(np.bincount(tone, minlength=TONES), 1)
    variance = 0.0
    for chroma in others:
        mean = np.bincount(tone, chroma, TONES) / count
        variance += float(np.square(chroma - mean[tone]).mean())
    return float(np.sqrt(variance))
