"""The table of all scores and their limits.

The rules decide (`pdm.curation.curate.rules`). This table lists the numbers that they compare, so
that the report and `pyramid curate explain` can show every limit and how far a picture is from it.
A test checks that the two agree.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pdm.curation.limits import MAX, MIN, Limit, Score, Values


def _content(
    width: Values, height: Values, inside_width: Values, inside_height: Values
) -> tuple[Values, Values]:
    """Width and height without borders, if the picture was decoded."""
    decoded = ~np.isnan(inside_width)
    return np.where(decoded, inside_width, width), np.where(decoded, inside_height, height)


def _room(*sizes: Values) -> Values:
    width, height = _content(*sizes[:4])
    room: Values = np.minimum(width / sizes[4], height / sizes[5])
    return room


def _crop_fraction(*sizes: Values) -> Values:
    """Share of the picture in its largest crop, in whole pixels."""
    (width, height), (across, down) = _content(*sizes[:4]), sizes[4:]
    wide = width * down >= height * across
    crop_width = np.where(wide, np.floor(height * across / down), width)
    crop_height = np.where(wide, height, np.floor(width * down / across))
    fraction: Values = crop_width * crop_height / np.maximum(width * height, 1)
    return fraction


_SIZES = (
    *("width_px", "height_px", "content_width_px", "content_height_px"),
    *("target_width_px", "target_height_px"),
)

SCORES = (  # in the order of the rules
    Score(
        "megapixels",
        "Megapixels",
        "width times height, as the header says",
        (Limit("max_megapixels", MAX, "too_many_pixels"),),
        (0.01, 1000.0),
        True,
        columns=("width_px", "height_px"),
        formula=lambda width, height: width * height / 1e6,
    ),
    Score(
        "border_share",
        "Share of borders",
        "share of the image's area that plain borders take",
        (Limit("max_border_share", MAX, "border"),),
    ),
    Score(
        "room",
        "Size, in finished crops",
        "width or height over that of the finished crop, whichever is less, borders not counted",
        (Limit("finished size", MIN, "too_small", fixed=1.0),),
        (0.1, 10.0),
        True,
        columns=_SIZES,
        formula=_room,
    ),
    Score(
        "crop_fraction",
        "Share that the crop keeps",
        "area of the largest crop of the finished shape over that of the image",
        (Limit("min_crop_share", MIN, "wrong_shape"),),
        columns=_SIZES,
        formula=_crop_fraction,
    ),
    Score(
        "num_people",
        "People",
        "number of faces large enough to count",
        (
            Limit("people.min_faces", MIN, "no_people"),
            Limit("people.max_faces", MAX, "crowd"),
        ),
        (0.0, 8.0),
        step=1.0,
    ),
    Score(
        "transparent_share",
        "Transparent share",
        "mean transparency of the whole image",
        (Limit("max_transparent_share", MAX, "transparent"),),
    ),
    Score(
        "brightness",
        "Mean brightness",
        "mean luma of the crop, from black at 0 to white at 1",
        (Limit("min_brightness", MIN, "dark"), Limit("max_brightness", MAX, "light")),
    ),
    Score(
        "black_share",
        "Share of black pixels",
        "share of the crop that is pure black",
        (Limit("max_black_share", MAX, "dark"),),
    ),
    Score(
        "white_share",
        "Share of white pixels",
        "share of the crop that is pure white",
        (Limit("max_white_share", MAX, "light"),),
    ),
    Score(
        "contrast",
        "Contrast",
        "luma between the darkest and the brightest twentieth of the crop",
        (Limit("min_contrast", MIN, "low_information"),),
    ),
    Score(
        "detail_share",
        "Share with detail",
        "share of the crop's blocks with an edge",
        (Limit("min_detail_share", MIN, "low_information"),),
    ),
    Score(
        "colour",
        "Difference in colour",
        "difference of colours among parts of equal brightness; little for tones of one hue",
        (Limit("min_colour", MIN, "grey", unless="allow_grey"),),
        (1e-4, 1.0),
        True,
    ),
    Score(
        "drawing",
        "Likeness to a drawing",
        "from a photograph at 0 to a drawing, rendered image, screenshot or chart at 1",
        (Limit("max_drawing_likeness", MAX, "drawing", unless="allow_drawings"),),
    ),
    Score(
        "likeness",
        "Likeness to what is wanted",
        "by the examples or words of curate.content, from 0 (not wanted) to 1 (wanted)",
        (Limit("content.min_likeness", MIN, "other_content"),),
    ),
    Score(
        "blocking",
        "JPEG blocks",
        "steps across the borders of JPEG blocks over those inside them",
        (Limit("max_blocking", MAX, "blocky"),),
        (0.0, 2.0),
    ),
    Score(
        "sharpness",
        "Sharpness",
        "1 over the width in pixels of the crop's sharpest edges",
        (Limit("min_sharpness", MIN, "blurry"),),
    ),
    Score(
        "repetition",
        "Repeated rows and columns",
        "share that repeats its neighbour, as after nearest-neighbour enlarging",
        (Limit("max_repetition", MAX, "enlarged"),),
    ),
    Score(
        "high_frequency",
        "Fine detail",
        "power of the finest detail over that of the coarser; enlarged images lack it",
        (Limit("min_high_frequency", MIN, "enlarged"),),
        (1e-4, 1.0),
        True,
    ),
)

# Known after all pictures were measured; not measured for pictures without a near hash.
DIFFERENCE = Score(
    "difference",
    "Difference from the nearest kept image",
    "of very small copies; 0 for the same image, about 1.4 for two that have nothing in common",
    (Limit("near_duplicate_difference", MIN, "near_duplicate"),),
    (0.0, 1.0),
)


def aspect_ratio(limits: Mapping[str, Any]) -> Score:
    """The score of shapes: width over height without borders, and the shapes that are kept."""
    sizes = limits.get("buckets") or [(limits["width_px"], limits["height_px"])]
    shapes, fraction = (
        sorted(width / height for width, height in sizes),
        limits["min_crop_share"],
    )
    bounds = [Limit("narrowest", MIN, "wrong_shape", fixed=shapes[0] * fraction)]
    if fraction:
        bounds.append(Limit("widest", MAX, "wrong_shape", fixed=shapes[-1] / fraction))
    listed = ", ".join(f"{shape:.4g}" for shape in shapes)
    return Score(
        "aspect_ratio",
        "Aspect ratio",
        f"width over height; the finished crop has {listed}"
        + (", whichever is nearest" if len(shapes) > 1 else ""),
        tuple(bounds),
        (0.125, 8.0),
        True,
        columns=_SIZES[:4],
        formula=lambda *sizes: np.divide(*_content(*sizes)),
    )
