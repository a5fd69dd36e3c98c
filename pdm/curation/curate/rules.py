"""The rules: from the measured scores of a picture to a reason for dropping it, or none.

They are pure functions of a row of the table of decisions and the limits. They use no pixels, so
stored rows can be judged again under other limits. The first broken rule gives the reason: faults
of the file first, then size, shape and people, then exposure, content, origin and sharpness. Every
limit is inclusive: a value equal to it passes. A score that is null (the picture was too small to
be measured, or not decoded) breaks no limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pdm.config.stages.curate import CurateConfig
from pdm.counts import counted
from pdm.curation.curate.framing.crop import largest_size, nearest_size
from pdm.data.decisions import Row


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a picture is dropped: a reason to count by, and a sentence with value and limit."""

    reason: str
    detail: str


Rule = Callable[[Row, CurateConfig], Drop | None]


def decide(row: Row, config: CurateConfig) -> Row:
    """The columns outcome, reason and detail for a measured row."""
    drop = reason(row, config)
    if drop is None:
        return {"outcome": "kept", "reason": None, "detail": None}
    return {"outcome": "dropped", "reason": drop.reason, "detail": drop.detail}


def reason(row: Row, config: CurateConfig) -> Drop | None:
    """The first reason to drop a measured row, or None to keep it."""
    for rule in RULES:
        if drop := rule(row, config):
            return drop
    return None


def too_many_pixels(row: Row, config: CurateConfig) -> Drop | None:
    """More pixels than are ever decoded, according to the header."""
    megapixels = (row["width_px"] or 0) * (row["height_px"] or 0) / 1e6
    if megapixels <= config.max_megapixels:
        return None
    return Drop(
        "too_many_pixels",
        f"{_size(row)} are {megapixels:,.1f} megapixels; at most "
        f"{config.max_megapixels:g} are decoded.",
    )


def animated(row: Row, config: CurateConfig) -> Drop | None:
    """Several frames."""
    if not row["animated"]:
        return None
    return Drop("animated", "The file holds several frames; only still images are wanted.")


def fault(row: Row, config: CurateConfig) -> Drop | None:
    """The file could not be read, or not in time."""
    return Drop(row["fault"], row["fault_detail"]) if row["fault"] else None


def too_small(row: Row, config: CurateConfig) -> Drop | None:
    """The crop would need enlarging; borders do not count."""
    width_px, height_px = content_size(row)
    finished = nearest_size(config.sizes, width_px, height_px)
    if width_px >= finished[0] and height_px >= finished[1]:
        return None
    trimmed = f", {width_px} x {height_px} without its borders" if row["border_share"] else ""
    return Drop(
        "too_small",
        f"{_size(row)}{trimmed}; a crop of {finished[0]} x {finished[1]} would need enlarging.",
    )


def wrong_shape(row: Row, config: CurateConfig) -> Drop | None:
    """The crop would lose too much of the picture, its borders not counted."""
    width_px, height_px = content_size(row)
    finished = nearest_size(config.sizes, width_px, height_px)
    crop_width, crop_height = largest_size(width_px, height_px, finished)
    share = crop_width * crop_height / max(width_px * height_px, 1)
    if share >= config.min_crop_share:
        return None
    return Drop(
        "wrong_shape",
        f"{width_px} x {height_px} pixels; the largest crop of shape {finished[0]} : "
        f"{finished[1]} keeps {share:.0%} of it; at least "
        f"{config.min_crop_share:.0%} is required.",
    )


def border(row: Row, config: CurateConfig) -> Drop | None:
    """A small picture in a wide frame. Borders are trimmed, but such wide ones are a design."""
    return _above(row, "border_share", config.max_border_share, "border", "Share of borders")


def people(row: Row, config: CurateConfig) -> Drop | None:
    """Too few or too many people, if people are wanted, or a crop that would cut a face."""
    limits, num_people = config.people, row["num_people"]
    if limits is None or num_people is None:
        return None
    found = f"{counted(num_people, 'face is', 'faces are')} large enough to count"
    if num_people < limits.min_faces:
        return Drop("no_people", f"{found}; the minimum is {limits.min_faces}.")
    if num_people > limits.max_faces:
        return Drop("crowd", f"{found}; the maximum is {limits.max_faces}.")
    if row["crop_width_px"] is None:
        return Drop("face_cut", "Every crop would cut the largest face.")
    return None


def transparent(row: Row, config: CurateConfig) -> Drop | None:
    """The background would show. The limit allows rounded corners; it was chosen, not measured."""
    limit = config.max_transparent_share
    return _above(row, "transparent_share", limit, "transparent", "Transparent share")


def dark(row: Row, config: CurateConfig) -> Drop | None:
    """Too dark on average, or black in too large a part."""
    return _below(row, "brightness", config.min_brightness, "dark", "Mean brightness") or _above(
        row, "black_share", config.max_black_share, "dark", "Share of black pixels"
    )


def light(row: Row, config: CurateConfig) -> Drop | None:
    """Too bright on average, or burnt out in too large a part."""
    return _above(row, "brightness", config.max_brightness, "light", "Mean brightness") or _above(
        row, "white_share", config.max_white_share, "light", "Share of white pixels"
    )


def low_information(row: Row, config: CurateConfig) -> Drop | None:
    """A single tone, or smooth gradients without edges."""
    return _below(row, "contrast", config.min_contrast, "low_information", "Contrast") or _below(
        row,
        "detail_share",
        config.min_detail_share,
        "low_information",
        "Share of the image with edges:",
    )


def grey(row: Row, config: CurateConfig) -> Drop | None:
    """Tones of one hue, if colour is wanted."""
    if config.allow_grey:
        return None
    return _below(row, "colour", config.min_colour, "grey", "Difference in colour")


def drawing(row: Row, config: CurateConfig) -> Drop | None:
    """A drawing, rendered picture, screenshot or chart, if photographs are wanted."""
    if config.allow_drawings:
        return None
    limit = config.max_drawing_likeness
    return _above(row, "drawing", limit, "drawing", "Likeness to a drawing")


def content(row: Row, config: CurateConfig) -> Drop | None:
    """Not like the wanted examples or words."""
    if config.content is None:
        return None
    limit = config.content.min_likeness
    return _below(row, "likeness", limit, "other_content", "Likeness to what is wanted")


def blocky(row: Row, config: CurateConfig) -> Drop | None:
    """Compressed so strongly that the JPEG's blocks are visible."""
    return _above(row, "blocking", config.max_blocking, "blocky", "Steps between JPEG blocks:")


def blurry(row: Row, config: CurateConfig) -> Drop | None:
    """Out of focus everywhere. A sharp subject before a soft background counts as sharp."""
    value = row["sharpness"]
    if value is None or value >= config.min_sharpness:
        return None
    width = f"{1 / value:.1f} pixels" if value > 0 else "many pixels"
    return Drop(
        "blurry",
        f"Sharpness {value:.3f} (its sharpest edges are about {width} wide); at least "
        f"{config.min_sharpness:g} is required.",
    )


def enlarged(row: Row, config: CurateConfig) -> Drop | None:
    """Enlarged earlier: rows repeat, or the fine detail that its size allows is missing."""
    return _above(
        row, "repetition", config.max_repetition, "enlarged", "Share of repeated rows and columns"
    ) or _below(
        row,
        "high_frequency",
        config.min_high_frequency,
        "enlarged",
        "Fine detail",
    )


RULES: tuple[Rule, ...] = (
    too_many_pixels,
    animated,
    fault,
    border,
    too_small,
    wrong_shape,
    people,
    transparent,
    dark,
    light,
    low_information,
    drawing,
    grey,
    content,
    blocky,
    blurry,
    enlarged,
)


def _below(row: Row, score: str, limit: float, reason: str, text: str) -> Drop | None:
    value = row[score]
    if value is None or value >= limit:
        return None
    return Drop(reason, f"{text} {value:.4g}; at least {limit:g} is required.")


def _above(row: Row, score: str, limit: float, reason: str, text: str) -> Drop | None:
    value = row[score]
    if value is None or value <= limit:
        return None
    return Drop(reason, f"{text} {value:.4g}; at most {limit:g} is allowed.")


def _size(row: Row) -> str:
    return f"{row['width_px']} x {row['height_px']} pixels"


def content_size(row: Row) -> tuple[int, int]:
    """Width and height without borders, if the picture was decoded."""
    if row["content_width_px"] is None:
        return row["width_px"], row["height_px"]
    return row["content_width_px"], row["content_height_px"]
