"""Section `scrape`: where the images come from."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.limits import (
    Count,
    CountOrZero,
    Fraction,
    Limits,
    Seconds,
    Seed,
    SidePx,
    check_limits,
    require,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltinSource:
    """Procedural landscapes, and flawed images of each kind, served over loopback HTTP. An image's
    class is the kind of land that it shows."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["builtin"], "builtin: landscapes drawn on this machine"]
    num_landscapes: Annotated[Count, "landscapes to draw"]
    num_flawed_per_kind: Annotated[CountOrZero, "flawed images of each kind, to be dropped"]
    width_px: Annotated[SidePx, "width of each image"]
    height_px: Annotated[SidePx, "height of each image"]
    seed: Annotated[Seed, "another seed draws other landscapes"]
    maps: Annotated[bool, "also a map of sky, water, land, forest and snow of each landscape"] = (
        False
    )
    boxes: Annotated[
        bool, "also boxes around the sun, the moon, hills, water, forest and snow of each"
    ] = False

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def has_maps(self) -> bool:
        """Whether there are maps of its pictures."""
        return self.maps

    @property
    def may_have_boxes(self) -> bool:
        """Whether there are boxes of its pictures."""
        return self.boxes

    @property
    def may_have_captions(self) -> bool:
        """Always: every landscape says what it shows."""
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class UrlListSource:
    """A txt (one URL per line), csv or parquet file of URLs."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["urls"], "urls: a list of URLs"]
    path: Annotated[str, "the list: a .txt, .csv or .parquet file"]
    url_column: Annotated[str, "column with the URLs"] = "url"
    caption_column: Annotated[
        str | None, "column with captions: a text, or a list of texts for the same image"
    ] = None
    boxes_column: Annotated[str | None, "column with boxes, as JSON"] = None
    licence_column: Annotated[str | None, "column with licences"] = None
    author_column: Annotated[str | None, "column with authors"] = None
    class_column: Annotated[
        str | None, "column with classes: text or whole numbers; an empty cell: no class"
    ] = None
    sha256_column: Annotated[
        str | None, "column with the sha256 of each file; an image that differs is dropped"
    ] = None
    # Off unless the list's owner trusts it: a URL list is untrusted input, and these addresses
    # reach the machine's own services.
    allow_private_addresses: Annotated[bool, "also fetch from private networks"] = False

    def __post_init__(self) -> None:
        known = (".txt", ".csv", ".parquet")
        require(
            self.path.endswith(known), "path", self.path, f"a file ending in {', '.join(known)}"
        )
        if self.path.endswith(".txt"):  # it has no columns
            for name in ("caption", "boxes", "licence", "author", "class", "sha256"):
                column = getattr(self, f"{name}_column")
                expected = "null with a .txt list, which has URLs only"
                require(column is None, f"{name}_column", column, expected)

    @property
    def has_maps(self) -> bool:
        """Never."""
        return False

    @property
    def may_have_boxes(self) -> bool:
        """Whether a column of the list has them."""
        return self.boxes_column is not None

    @property
    def may_have_captions(self) -> bool:
        """Whether a column of the list has them."""
        return self.caption_column is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderSource:
    """Every file below a local folder. An image's class is its top-level subfolder, as in
    torchvision's ImageFolder; images in the folder itself have no class. The captions of `NAME.jpg`
    are the lines of `NAME.txt` beside it; its boxes are in `NAME.boxes.json`, or in one file for
    all images."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[Literal["folder"], "folder: a folder of images"]
    path: Annotated[str, "the folder"]
    licence: Annotated[str | None, "licence of all its images"] = None
    maps: Annotated[
        str | None,
        "another folder, with a map of classes as NAME.png for NAME.jpg, and classes.txt",
    ] = None
    boxes: Annotated[
        str | None,
        "a file with the boxes of all images, as COCO's instances_*.json; file_name is relative "
        "to the folder",
    ] = None

    @property
    def has_maps(self) -> bool:
        """Whether a folder has maps of its pictures."""
        return self.maps is not None

    @property
    def may_have_boxes(self) -> bool:
        """Always: only the folder knows whether there are files of boxes."""
        return True

    @property
    def may_have_captions(self) -> bool:
        """Always: only the folder knows whether there are files of captions."""
        return True


Source = BuiltinSource | UrlListSource | FolderSource


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrapeConfig:
    """How the sources are fetched. img2dataset moves the bytes through our gateway, which enforces
    the limits; nothing is decoded."""

    __pydantic_config__: ClassVar = STRICT

    sources: Annotated[tuple[Source, ...], "where the images come from"]
    timeout_seconds: Annotated[Seconds, "limit for one try at one image, first to last byte"]
    retries: Annotated[
        Annotated[int, Limits(at_least=0, at_most=100)],
        "more tries after a time-out, a broken connection, HTTP 408, 425, 429, 5xx",
    ]
    num_threads: Annotated[
        Annotated[int, Limits(at_least=1, at_most=4096)], "images fetched at the same time"
    ]
    max_per_host: Annotated[Count, "images fetched from one host at the same time"]
    min_interval_seconds: Annotated[
        Annotated[float, Limits(at_least=0, at_most=1_000_000)],
        "pause between the starts of two requests to one host",
    ]
    respect_robots: Annotated[bool, "fetch nothing that a host's robots.txt forbids"]
    respect_opt_outs: Annotated[bool, "drop what X-Robots-Tag or TDM-Reservation forbids to use"]
    max_unreached_in_a_row: Annotated[
        Count, "this many URLs in a row without a connection end the stage"
    ]
    removed: Annotated[str | None, "file of URLs, keys and sha256s that must not be used any more"]
    max_image_mib: Annotated[
        Annotated[float, Limits(above=0, at_most=65_536)], "larger files are dropped"
    ]
    num_shards: Annotated[Count, "raw shards; an image's shard follows from a hash of its key"]
    max_failed_share: Annotated[Fraction, "above it the stage fails and publishes nothing"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(len(self.sources) > 0, "sources", self.sources, "at least one source")
