"""Section `curate`: which images are kept, and which part of each."""

from dataclasses import dataclass
from typing import ClassVar

from pdm.config.common import STRICT, require, require_fraction, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateConfig:
    """The limits of every rule. What each score measures stands in `pdm.curation.curate.scores`."""

    __pydantic_config__: ClassVar = STRICT

    width_px: int  # of the finished crop
    height_px: int
    max_megapixels: float  # larger images are dropped unread
    min_crop_fraction: float  # of the picture's area that the crop must keep; less is a wrong shape
    min_sharpness: float  # 1 / (width in pixels of the sharpest edges)
    min_high_frequency: float  # below it the picture was enlarged before it reached us
    min_detail_share: float  # of the picture's blocks that hold an edge
    min_contrast: float  # between the darkest and the brightest twentieth, of 1
    min_brightness: float
    max_brightness: float
    near_duplicate_bits: int  # at most so many of 256 bits of the perceptual hash differ
    min_kept: int  # fewer kept images fail the stage

    def __post_init__(self) -> None:
        require_positive(self, "width_px", "height_px", "max_megapixels", "min_kept")
        require_fraction(
            self,
            "min_crop_fraction",
            "min_sharpness",
            "min_high_frequency",
            "min_detail_share",
            "min_contrast",
            "min_brightness",
            "max_brightness",
        )
        require(
            self.min_brightness < self.max_brightness,
            "min_brightness",
            self.min_brightness,
            f"less than max_brightness ({self.max_brightness})",
        )
        bits = self.near_duplicate_bits
        require(0 <= bits <= 128, "near_duplicate_bits", bits, "a number from 0 to 128")
