"""The rules: from what was measured to a reason for dropping a picture, or none.

Pure functions; the first rule that hits names the reason. `reason_from_header` needs no pixel and
spares the decoding, `reason_from_scores` follows. Every limit is inclusive: a value equal to it
passes.
"""

from dataclasses import dataclass

from pdm.config.curate import CurateConfig
from pdm.curation.curate.crop import largest_size
from pdm.curation.curate.scores import Scores
from pdm.data.pixels import Header


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a picture is not kept: a word to count by, and a sentence with value and limit."""

    reason: str
    detail: str


def reason_from_header(header: Header, config: CurateConfig) -> Drop | None:
    """Judge size and shape of the upright picture."""
    width_px, height_px = header.width_px, header.height_px
    size = f"{width_px} x {height_px} pixels"
    if header.animated:
        return Drop("animated", "The file holds several frames; only still pictures are wanted.")
    if width_px * height_px > config.max_megapixels * 1e6:
        return Drop(
            "too_many_pixels",
            f"{size} are {width_px * height_px / 1e6:,.1f} megapixels; "
            f"at most {config.max_megapixels:g} are decoded.",
        )
    if width_px < config.width_px or height_px < config.height_px:
        return Drop(
            "too_small",
            f"{size}; a crop of {config.width_px} x {config.height_px} would need enlarging.",
        )
    crop_width, crop_height = largest_size(width_px, height_px, (config.width_px, config.height_px))
    fraction = crop_width * crop_height / (width_px * height_px)
    if fraction < config.min_crop_fraction:
        return Drop(
            "wrong_shape",
            f"{size}; the largest crop of shape {config.width_px} : {config.height_px} keeps "
            f"{fraction:.0%} of it, at least {config.min_crop_fraction:.0%} is wanted.",
        )
    return None


def reason_from_scores(scores: Scores, config: CurateConfig) -> Drop | None:
    """Judge the finished crop: exposure first, then content, then sharpness."""
    for reason, hit, text in (
        (
            "dark",
            scores.brightness < config.min_brightness,
            f"Mean brightness {scores.brightness:.3f}; at least {config.min_brightness:g}",
        ),
        (
            "light",
            scores.brightness > config.max_brightness,
            f"Mean brightness {scores.brightness:.3f}; at most {config.max_brightness:g}",
        ),
        (
            "low_information",
            scores.contrast < config.min_contrast,
            f"Contrast {scores.contrast:.3f}; at least {config.min_contrast:g}",
        ),
        (
            "low_information",
            scores.detail_share < config.min_detail_share,
            f"{scores.detail_share:.1%} of the picture holds any edge; at least "
            f"{config.min_detail_share:.1%}",
        ),
        (
            "blurry",
            scores.sharpness < config.min_sharpness,
            f"Sharpness {scores.sharpness:.3f} (its sharpest edges are about "
            f"{_edge_width(scores.sharpness)} wide); at least {config.min_sharpness:g}",
        ),
        (
            "enlarged",
            scores.high_frequency < config.min_high_frequency,
            f"Fine detail {scores.high_frequency:.4f}, as of a smaller picture that was enlarged; "
            f"at least {config.min_high_frequency:g}",
        ),
    ):
        if hit:
            return Drop(reason, f"{text} is wanted.")
    return None


def _edge_width(sharpness: float) -> str:
    return f"{1 / sharpness:.1f} pixels" if sharpness > 0 else "many pixels"
