"""Section `latents`: how the shards are encoded, once."""

from dataclasses import dataclass
from typing import ClassVar

from pdm.config.common import STRICT, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentsConfig:
    """Encoding of train and val shards with the trained autoencoder."""

    __pydantic_config__: ClassVar = STRICT

    batch_size: int
    flipped_copies: bool  # also encode each training picture mirrored

    def __post_init__(self) -> None:
        require_positive(self, "batch_size")
