"""Section `shard`: how the kept crops are written."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Limits, check_limits


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """Encoding and split. The crop itself is decided by `curate`."""

    __pydantic_config__: ClassVar = STRICT

    encoding: Annotated[Literal["jpeg", "png", "webp"], "jpeg, png or webp (lossless)"]
    jpeg_quality: Annotated[
        Annotated[int, Limits(at_least=1, at_most=100)], "from 1 to 100, of jpeg"
    ]
    num_train_shards: Annotated[Count, "an image's shard follows from a hash of its key"]
    num_val_shards: Annotated[Count, "shards of held-out images"]
    val_share: Annotated[
        Annotated[float, Limits(above=0, below=1)],
        "share of held-out images, chosen by a hash of their content",
    ]
    hold_out: Annotated[
        Literal["image", "folder"],
        "image, or folder: all images of a folder, such as the crops of one photograph, together",
    ] = "image"

    def __post_init__(self) -> None:
        check_limits(self)
