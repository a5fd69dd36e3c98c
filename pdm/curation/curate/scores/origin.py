"""Signs of a picture's origin: a colour camera, strong JPEG compression, a smaller picture.

They are measured on 8-bit pixels as decoded, before the crop is reduced to its finished size, or on
the finished crop; each function says which. `docs/decisions/curation.md` describes how well they
separate pictures.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.data.decoding.resize import downscale
from pdm.data.pixels import Pixels

Luma = NDArray[np.uint8]
Profile = NDArray[np.float32]

JPEG_BLOCK_PX = 8
STEP_FLOOR = 0.7  # grey levels; smaller steps inside a block count as none
REPEATED = 0.4  # of the largest step nearby; a row with less repeats its neighbour
REPEAT_REACH_ROWS = 7  # nearest-neighbour enlarging by up to 7 has one real step in this many rows
MIN_STEP = 1.5  # grey levels: in smooth pictures, JPEG compression makes rows equal too
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
    the weaker of the two directions. Measured on pixels as decoded. A photograph has 0 to 0.5, up
    to 0.8 at JPEG quality 50, and 0.8 or more at 10. 0 if the decoder has reduced the picture so
    far that blocks are smaller than 4 pixels and thus invisible.
    """
    period = JPEG_BLOCK_PX // reduction
    if period < 4 or min(map(len, steps)) < 4 * period:
        return 0.0
    return max(0.0, min(_excess(profile, period) for profile in steps))


def _excess(profile: Profile, period: int) -> float:
    periods = profile[: len(profile) // period * period].reshape(-1, period)
    means = periods.mean(axis=0, dtype=np.float64)
    inside = (means.sum() - means.max()) / (period - 1)
    return float((means.max() - inside) / (inside + STEP_FLOOR))


def repetition(steps: tuple[Profile, Profile]) -> float:
    """Share of rows or columns that repeat their neighbour; the smaller of both.

    A picture enlarged by nearest neighbour has up to 1 - 1 / factor, a photograph nearly 0, but
    strong JPEG compression makes rows of smooth parts equal too. Measured on pixels as decoded. Of
    24 versions of twelve photographs, the number with more than 0.25 is: none at JPEG quality 75,
    one each at 60 and 50, 11 to 14 when enlarged by 2, 7 to 18 when enlarged by 3. Smooth pictures
    among these are missed here, but not by `focus.high_frequency`.
    """
    return min(_share_of_repeats(profile) for profile in steps)


def _share_of_repeats(profile: Profile) -> float:
    if not profile.size:
        return 0.0
    nearby = cv2.dilate(profile[:, None], np.ones((REPEAT_REACH_ROWS, 1), np.uint8)).ravel()
    return float(((profile < REPEATED * nearby) & (nearby > MIN_STEP)).mean())


def colour(pixels: Pixels) -> float:
    """How much colours differ among parts of equal brightness: 0 for grey, and for tinted grey.

    Root mean square distance, of full scale, of (Cb, Cr) from the mean of all parts with the same
    luma (in 64 steps), on a copy of 64 by 32, whose pixels are larger than a JPEG's blocks of
    colour. At a crop of 1024 x 512, twelve photographs have 0.0049 (a grey-green board) to 0.16,
    and built-in landscapes 0.02 or more. The same photographs have 0 in grey, and in sepia, a pale
    tint or two tones at most 0.0027 after a JPEG of quality 60.
    """
    small = downscale(pixels, *COLOUR_COPY_PX)
    values = small.astype(np.float32) / 255
    luma, *chromas = cv2.cvtColor(values, cv2.COLOR_RGB2YCrCb).reshape(-1, 3).T.astype(np.float64)
    tone = np.minimum((luma * TONES).astype(np.int64), TONES - 1)
    count = np.maximum(np.bincount(tone, minlength=TONES), 1)
    variance = 0.0
    for chroma in chromas:
        mean = np.bincount(tone, chroma, TONES) / count
        variance += float(np.square(chroma - mean[tone]).mean())
    return float(np.sqrt(variance))
