"""Section `latents`: how the shards are encoded, once."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.common import STRICT
from pdm.config.limits import Count, check_limits


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentsConfig:
    """Encoding of train and val shards with the trained autoencoder."""

    __pydantic_config__: ClassVar = STRICT

    batch_size: Annotated[Count, "images encoded at once"]
    flipped_copies: Annotated[bool, "also encode each training image mirrored"]

    def __post_init__(self) -> None:
        check_limits(self)
