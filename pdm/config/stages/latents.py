"""Section `latents`: how the shards are encoded, once."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import Count, check_limits


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentsConfig:
    """Encoding of train and val shards with the trained autoencoder."""

    __pydantic_config__: ClassVar = STRICT

    batch_size: Annotated[Count, "images encoded at once"]
    flipped_copies: Annotated[bool, "also encode each training image mirrored"]
    storage: Annotated[
        Literal["float32", "float16", "bfloat16"],
        "numbers on disk; those of 16 bits take half the space",
    ]
    keep_pictures: Annotated[
        bool, "also keep each image, as tasks such as inpainting need it", Neutral(False)
    ]

    def __post_init__(self) -> None:
        check_limits(self)
