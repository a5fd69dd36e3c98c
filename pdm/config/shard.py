"""Section `shard`: how the kept crops are written."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardConfig:
    """Encoding and split. The crop itself is decided by `curate`."""

    __pydantic_config__: ClassVar = STRICT

    encoding: Literal["jpeg", "png", "webp"]  # webp is lossless here
    jpeg_quality: int
    num_train_shards: int  # an image's shard follows from a hash of its key
    num_val_shards: int
    val_fraction: float  # of the images, by a hash of their content

    def __post_init__(self) -> None:
        require_positive(self, "num_train_shards", "num_val_shards")
        require(1 <= self.jpeg_quality <= 100, "jpeg_quality", self.jpeg_quality, "1 to 100")
        require(0 < self.val_fraction < 1, "val_fraction", self.val_fraction, "between 0 and 1")
