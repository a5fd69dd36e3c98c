"""The scores of a picture beside the limits that hold for them, for everybody who shows them.

The rules decide (`pdm.curation.curate.rules`); this table says in one place which numbers they look
at, so that the report and `pyramid curate explain` can draw every limit and say how far off a
picture is. A test holds the two together. All limits are inclusive: a value equal to one passes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pdm.data.decisions import Row

Values = NDArray[np.float64]
MIN: Literal[1] = 1
MAX: Literal[-1] = -1


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a score.

    Args:
        setting: Its name in section curate; behind a dot, in a part of the section.
        sign: 1 for a minimum, -1 for a maximum.
        reason: For which a picture beyond it is dropped.
        unless: A setting that switches it off.
        fixed: The value, where no setting gives one.
    """

    setting: str
    sign: Literal[1, -1]
    reason: str
    unless: str | None = None
    fixed: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit with its value under some settings."""

    name: str
    value: float
    sign: Literal[1, -1]
    reason: str

    def margin(self, value: float) -> float:
        """How far inside the limit a value is; negative outside."""
        return self.sign * (value - self.value)


@dataclass(frozen=True, slots=True)
class Score:
    """A number that limits are held against.

    Args:
        name: A word for it; its column in the table of decisions, if it has one.
        title: For a reader.
        meaning: What it measures, in a sentence without its verb.
        limits: That may hold for it.
        axis: Least and greatest value of a chart; what lies beyond is drawn at its end.
        logarithmic: Whether the chart's axis is.
        step: Between two values that can occur, if only some can.
        columns: What it is computed from.
        formula: Of arrays of those columns.
    """

    name: str
    title: str
    meaning: str
    limits: tuple[Limit, ...]
    axis: tuple[float, float] = (0.0, 1.0)
    logarithmic: bool = False
    step: float = 0.0
    columns: tuple[str, ...] = ()
    formula: Callable[..., Values] = np.asarray

    def needs(self) -> tuple[str, ...]:
        """The columns from which `values` are computed, in its order."""
        return self.columns or (self.name,)

    def values(self, *columns: Values) -> Values:
        """The score of many pictures; NaN where it was not measured."""
        return self.formula(*columns)

    def of(self, row: Row) -> float | None:
        """The score of one picture, or None if it was not measured."""
        known = [np.nan if row[name] is None else float(row[name]) for name in self.needs()]
        value = float(self.values(*(np.array(one) for one in known)))
        return None if np.isnan(value) else value

    def bounds(self, limits: Mapping[str, Any]) -> list[Bound]:
        """The limits that hold under the settings of section curate."""
        bounds = []
        for one in self.limits:
            value = one.fixed if one.fixed is not None else _setting(limits, one.setting)
            if value is not None and not (one.unless and limits[one.unless]):
                bounds.append(Bound(one.setting, float(value), one.sign, one.reason))
        return bounds


def _setting(limits: Mapping[str, Any], name: str) -> Any:
    part, _, rest = name.partition(".")
    value = limits.get(part)
    return _setting(value, rest) if rest and value is not None else value


def _content(
    width: Values, height: Values, inside_width: Values, inside_height: Values
) -> tuple[Values, Values]:
    """Width and height without borders, if the picture was looked at."""
    known = ~np.isnan(inside_width)
    return np.where(known, inside_width, width), np.where(known, inside_height, height)


def _room(*sizes: Values) -> Values:
    width, height = _content(*sizes[:4])
    room: Values = np.minimum(width / sizes[4], height / sizes[5])
    return room


def _crop_fraction(*sizes: Values) -> Values:
    """In whole pixels, as the crop is cut."""
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
        "share of the picture's area that plain borders take",
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
        "area of the largest crop of the finished shape over that of the picture",
        (Limit("min_crop_fraction", MIN, "wrong_shape"),),
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
        "mean transparency of the whole picture",
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
        "share of the crop without any light in it",
        (Limit("max_black_share", MAX, "dark"),),
    ),
    Score(
        "white_share",
        "Share of white pixels",
        "share of the crop as white as it can be",
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
        "share of the crop's blocks that hold an edge",
        (Limit("min_detail_share", MIN, "low_information"),),
    ),
    Score(
        "colour",
        "Difference in colour",
        "spread of the colours; pictures in tones of one hue have little",
        (Limit("min_colour", MIN, "grey", unless="allow_grey"),),
        (1e-4, 1.0),
        True,
    ),
    Score(
        "drawing",
        "Likeness to a drawing",
        "from a photograph at 0 to a drawing, rendered picture, screenshot or chart at 1",
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
        "share that repeats its neighbour, as plain enlarging makes",
        (Limit("max_repetition", MAX, "enlarged"),),
    ),
    Score(
        "high_frequency",
        "Fine detail",
        "power of the finest detail over that of the coarser; enlarged pictures lack it",
        (Limit("min_high_frequency", MIN, "enlarged"),),
        (1e-4, 1.0),
        True,
    ),
)

# Known once all pictures are; of those that no other one comes near it is not measured.
DIFFERENCE = Score(
    "difference",
    "Difference from the nearest kept picture",
    "of very small copies; 0 for the same picture, about 1.4 for two that have nothing in common",
    (Limit("near_duplicate_difference", MIN, "near_duplicate"),),
    (0.0, 1.0),
)


def aspect_ratio(limits: Mapping[str, Any]) -> Score:
    """Width over height, borders not counted, with the shapes of which a crop keeps enough."""
    shape, fraction = limits["width_px"] / limits["height_px"], limits["min_crop_fraction"]
    bounds = [Limit("narrowest", MIN, "wrong_shape", fixed=shape * fraction)]
    if fraction:
        bounds.append(Limit("widest", MAX, "wrong_shape", fixed=shape / fraction))
    return Score(
        "aspect_ratio",
        "Aspect ratio",
        f"width over height; the finished crop has {shape:.4g}",
        tuple(bounds),
        (0.125, 8.0),
        True,
        columns=_SIZES[:4],
        formula=lambda *sizes: np.divide(*_content(*sizes)),
    )
