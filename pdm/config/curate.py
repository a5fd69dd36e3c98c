"""Section `curate`: which images are kept, and which part of each."""

from dataclasses import dataclass
from typing import ClassVar

from pdm.config.common import STRICT, require, require_fraction, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleConfig:
    """Which people a picture must show. The crop is then placed around their faces."""

    __pydantic_config__: ClassVar = STRICT

    min_faces: int
    max_faces: int  # more are a crowd
    min_face_share: float  # of the crop's height, forehead to chin; smaller ones are passers-by

    def __post_init__(self) -> None:
        require_positive(self, "min_faces", "min_face_share")
        require_fraction(self, "min_face_share")
        require(
            self.max_faces >= self.min_faces,
            "max_faces",
            self.max_faces,
            f"at least min_faces ({self.min_faces})",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateConfig:
    """The limits of every rule. What each score measures stands in `pdm.curation.curate.scores`."""

    __pydantic_config__: ClassVar = STRICT

    width_px: int  # of the finished crop
    height_px: int
    max_megapixels: float  # larger images are dropped unread
    decode_seconds: float  # an image that takes longer to read and measure is dropped
    background: tuple[int, int, int]  # red, green, blue, 0 to 255, behind transparent parts
    max_transparent_share: float
    max_border_share: float  # of the picture's area; borders are trimmed, mere frames dropped
    people: PeopleConfig | None  # null: anything; the crop is placed on the content
    min_crop_fraction: float  # of the picture's area that the crop must keep; less is a wrong shape
    min_sharpness: float  # 1 / (width in pixels of the sharpest edges)
    min_high_frequency: float  # below it the picture was enlarged before it reached us
    max_repetition: float  # share of rows and columns that repeat their neighbour
    max_blocking: float  # step across the borders of JPEG blocks, over that inside them
    min_detail_share: float  # of the picture's blocks that hold an edge
    min_contrast: float  # between the darkest and the brightest twentieth, of 1
    min_brightness: float
    max_brightness: float
    max_black_share: float  # of pixels without any light in them
    max_white_share: float  # of pixels as white as they can be
    allow_grey: bool  # also pictures in tones of one hue
    min_colour: float  # less is grey
    allow_drawings: bool  # also screenshots and charts
    max_drawing: float  # more is a drawing
    near_duplicate_bits: int  # pictures whose hashes differ in so many of 64 bits are compared
    near_duplicate_difference: float  # of small copies, in their deviations; less is the same one
    min_kept: int  # fewer kept images fail the stage

    def __post_init__(self) -> None:
        positive = ("width_px", "height_px", "max_megapixels", "decode_seconds", "min_kept")
        require_positive(self, *positive)
        require_fraction(
            self,
            "max_transparent_share",
            "max_border_share",
            "min_crop_fraction",
            "min_sharpness",
            "min_high_frequency",
            "max_repetition",
            "min_detail_share",
            "min_contrast",
            "min_brightness",
            "max_brightness",
            "max_black_share",
            "max_white_share",
            "min_colour",
            "max_drawing",
        )
        require(self.max_blocking >= 0, "max_blocking", self.max_blocking, "0 or more")
        require(
            all(0 <= value <= 255 for value in self.background),
            "background",
            self.background,
            "three numbers from 0 to 255",
        )
        require(
            self.min_brightness < self.max_brightness,
            "min_brightness",
            self.min_brightness,
            f"less than max_brightness ({self.max_brightness})",
        )
        bits = self.near_duplicate_bits
        require(0 <= bits <= 16, "near_duplicate_bits", bits, "a number from 0 to 16")
        difference = self.near_duplicate_difference
        require(difference >= 0, "near_duplicate_difference", difference, "0 or more")
