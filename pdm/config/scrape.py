"""Section `scrape`: where the images come from."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require, require_fraction, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltinSource:
    """Procedural landscapes, and flawed ones of each kind, served over loopback HTTP."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["builtin"]
    num_landscapes: int
    num_flawed_per_kind: int
    width_px: int
    height_px: int
    seed: int

    def __post_init__(self) -> None:
        require_positive(self, "num_landscapes", "width_px", "height_px")
        require(
            self.num_flawed_per_kind >= 0,
            "num_flawed_per_kind",
            self.num_flawed_per_kind,
            "0 or more",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class UrlListSource:
    """A txt (one URL a line), csv or parquet file of URLs."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["urls"]
    path: str
    url_column: str = "url"
    caption_column: str | None = None
    licence_column: str | None = None
    author_column: str | None = None
    class_column: str | None = None  # text or whole numbers; an empty cell: no class
    sha256_column: str | None = None  # what was listed; a picture that differs is dropped
    # Off unless the list's owner trusts it: a URL list is untrusted input, and these addresses
    # reach the machine's own services.
    allow_private_addresses: bool = False

    def __post_init__(self) -> None:
        known = (".txt", ".csv", ".parquet")
        require(
            self.path.endswith(known), "path", self.path, f"a file ending in {', '.join(known)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderSource:
    """Every file below a local folder. A picture's class is the folder next below that it is in, as
    torchvision's ImageFolder has it; those that lie in the folder itself have none."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["folder"]
    path: str
    licence: str | None = None  # of all its images


Source = BuiltinSource | UrlListSource | FolderSource


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrapeConfig:
    """How the sources are fetched. img2dataset moves the bytes, through our own gateway, which
    holds the limits; nothing is decoded here."""

    __pydantic_config__: ClassVar = STRICT

    sources: tuple[Source, ...]
    timeout_seconds: float  # for one try at one picture, from its name to its last byte
    retries: int  # of what may pass: time-outs, broken connections, HTTP 408, 425, 429 and 5xx
    num_threads: int
    max_per_host: int  # pictures fetched from one host at the same time
    min_interval_seconds: float  # between the starts of two requests to one host
    respect_robots: bool  # fetch nothing that a host's robots.txt forbids
    respect_opt_outs: bool  # drop what forbids its use in X-Robots-Tag or TDM-Reservation
    max_unreached_in_a_row: int  # so many URLs without a connection end the stage: no network
    removed: str | None  # a file of URLs, keys and sha256s that must not be used any more
    max_image_mib: float  # larger files are counted as too large
    num_shards: int  # raw shards; an image's shard follows from a hash of its key
    max_failed_fraction: float  # above it the stage fails and publishes nothing

    def __post_init__(self) -> None:
        require(len(self.sources) > 0, "sources", self.sources, "at least one source")
        require_positive(self, "timeout_seconds", "num_threads", "max_image_mib", "num_shards")
        require_positive(self, "max_per_host", "max_unreached_in_a_row")
        require(self.retries >= 0, "retries", self.retries, "0 or more")
        require(
            self.min_interval_seconds >= 0,
            "min_interval_seconds",
            self.min_interval_seconds,
            "0 or more",
        )
        require_fraction(self, "max_failed_fraction")
