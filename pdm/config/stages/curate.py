"""Section `curate`: which images are kept, and which part of each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.buckets import check_buckets
from pdm.config.fields import STRICT, Mark, Neutral
from pdm.config.limits import (
    Count,
    Fraction,
    Limits,
    NonNegative,
    Positive,
    Seconds,
    SidePx,
    check_limits,
    require,
    require_sha256,
)

LIMIT = Mark.LIMIT_OF_SCORES
Byte = Annotated[int, Limits(at_least=0, at_most=255)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleConfig:
    """Which people an image must show. The crop is then placed around their faces."""

    __pydantic_config__: ClassVar = STRICT

    min_faces: Annotated[Count, "fewest faces"]
    max_faces: Annotated[Count, "most faces; more are a crowd"]
    min_face_share: Annotated[
        Annotated[float, Limits(above=0, at_most=1)],
        "smallest face, forehead to chin, as share of the crop's height; others are passers-by",
    ]

    def __post_init__(self) -> None:
        check_limits(self)
        require(
            self.max_faces >= self.min_faces,
            "max_faces",
            self.max_faces,
            f"at least min_faces ({self.min_faces})",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentModelConfig:
    """A CLIP-like network in a file of the user's."""

    __pydantic_config__: ClassVar = STRICT

    path: Annotated[str, "TorchScript file, described in docs/decisions/content.md"]
    sha256: Annotated[str, "of the file"]

    def __post_init__(self) -> None:
        require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentConfig:
    """What an image must show, by example images or by words."""

    __pydantic_config__: ClassVar = STRICT

    min_likeness: Annotated[Fraction, "from 0 (not wanted) to 1 (wanted); less is dropped"]
    like: Annotated[str | None, "folder of images that are wanted, a few dozen"] = None
    unlike: Annotated[str | None, "folder of images that are not wanted"] = None
    words: Annotated[tuple[str, ...] | None, "any of these is wanted; needs a model"] = None
    not_words: Annotated[tuple[str, ...] | None, "none of these is wanted"] = None
    model: Annotated[
        ContentModelConfig | None, "null: the built-in network, for examples only, not for words"
    ] = None

    def __post_init__(self) -> None:
        check_limits(self)
        require(
            (self.like is None) != (self.words is None),
            "like",
            self.like,
            "a folder, or else words with a model; not both",
        )
        for one, other in (("like", "unlike"), ("words", "not_words")):
            beside, value = getattr(self, one) is not None, getattr(self, other)
            expected = f"a value beside {one}" if beside else f"none without {one}"
            require((value is not None) == beside, other, value, expected)
        for name in ("words", "not_words"):
            texts = getattr(self, name)
            good = texts is None or (len(texts) > 0 and all(text.strip() for text in texts))
            require(good, name, texts, "at least one text, and none that is empty")
        needed = self.words is None or self.model is not None
        require(needed, "model", self.model, "a network in a file, since words need one")


@dataclass(frozen=True, kw_only=True, slots=True)
class CurateConfig:
    """The limits of all rules. `pdm.curation.curate.scores` says what each score measures."""

    __pydantic_config__: ClassVar = STRICT

    width_px: Annotated[SidePx, "width of the finished crop"]
    height_px: Annotated[SidePx, "height of the finished crop"]
    buckets: Annotated[
        tuple[tuple[SidePx, SidePx], ...] | None,
        "null: all crops have one size; or a list of sizes: each image takes the nearest shape",
        Neutral(None),
    ] = None
    max_megapixels: Annotated[Positive, "larger images are dropped without decoding them"]
    decode_seconds: Annotated[Seconds, "an image that takes longer to read and measure is dropped"]
    background: Annotated[
        tuple[Byte, Byte, Byte], "red, green, blue (0 to 255) behind transparent parts"
    ]
    max_transparent_share: Annotated[Fraction, "share of transparent pixels", LIMIT]
    max_border_share: Annotated[Fraction, "share of plain borders, which are cut off", LIMIT]
    people: Annotated[PeopleConfig | None, "null: any content; or how many faces"]
    min_crop_share: Annotated[Fraction, "share of the image's area that the crop must keep", LIMIT]
    min_sharpness: Annotated[Fraction, "1 / (width in pixels of the sharpest edges)", LIMIT]
    min_high_frequency: Annotated[Fraction, "less: the image was enlarged", LIMIT]
    max_repetition: Annotated[
        Fraction, "share of rows and columns that repeat their neighbour", LIMIT
    ]
    max_blocking: Annotated[
        NonNegative, "step across borders of JPEG blocks, over that inside", LIMIT
    ]
    min_detail_share: Annotated[Fraction, "share of blocks with an edge", LIMIT]
    min_contrast: Annotated[Fraction, "between the darkest and the brightest twentieth", LIMIT]
    min_brightness: Annotated[Fraction, "mean luma", LIMIT]
    max_brightness: Annotated[Fraction, "mean luma", LIMIT]
    max_black_share: Annotated[Fraction, "share of pixels that are black", LIMIT]
    max_white_share: Annotated[Fraction, "share of pixels that are white", LIMIT]
    allow_grey: Annotated[bool, "also keep images in tones of one hue", LIMIT]
    min_colour: Annotated[Fraction, "less is grey", LIMIT]
    allow_drawings: Annotated[bool, "also keep drawings, screenshots and charts", LIMIT]
    max_drawing_likeness: Annotated[Fraction, "more is a drawing, less a photograph", LIMIT]
    content: Annotated[ContentConfig | None, "null: any content; or what an image must show", LIMIT]
    near_duplicate_bits: Annotated[
        Annotated[int, Limits(at_least=0, at_most=16)],
        "images whose hashes differ in at most this many bits are compared",
        LIMIT,
    ]
    near_duplicate_difference: Annotated[
        NonNegative, "between small copies, in standard deviations; less is a duplicate", LIMIT
    ]
    min_kept: Annotated[Count, "fewer kept images fail the stage", LIMIT]

    def __post_init__(self) -> None:
        check_limits(self)
        require(
            self.min_brightness < self.max_brightness,
            "min_brightness",
            self.min_brightness,
            f"less than max_brightness ({self.max_brightness})",
        )
        if self.buckets is not None:
            check_buckets(self.buckets, (self.width_px, self.height_px))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each kind of finished crop."""
        return self.buckets or ((self.width_px, self.height_px),)
