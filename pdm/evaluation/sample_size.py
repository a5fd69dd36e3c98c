"""Whether samples of the size that `sample.size` names can be compared with held-out pictures."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pdm.config.buckets import bucket_name
from pdm.data.shards import manifest
from pdm.data.shards.buckets import buckets_of
from pdm.errors import BadInput

SHAPE_TOLERANCE = 0.02  # of the logarithm of the ratio: sides are whole pixels


def check_sample_size(samples: Path, shards: Path) -> None:
    """Raise BadInput if held-out pictures can only be stretched or enlarged to the samples' size.

    Args:
        samples: Written by the stage `sample`. Without a size of their own nothing is checked.
        shards: Written by the stage `shard`.
    """
    path = samples / "samples.json"
    try:
        size = json.loads(path.read_text(encoding="utf-8")).get("size")
    except (OSError, ValueError, AttributeError):
        return  # `read_samples` says what is wrong
    if size is None:
        return
    crops = [bucket.size for bucket in buckets_of(manifest.load(shards))]
    if not any(_fits(size, crop) for crop in crops):
        listed = ", ".join(map(bucket_name, crops))
        raise BadInput(
            f"the samples are {size[0]}x{size[1]} (sample.size), the held-out pictures "
            f"{listed}: only a size of their shape that is not larger can be scored; "
            "set sample.size to such a size, or to null"
        )


def _fits(size: Sequence[int], crop: tuple[int, int]) -> bool:
    """Whether crops can be reduced to a size, both as width and height, without stretching them."""
    differs = abs(math.log(size[0] / size[1]) - math.log(crop[0] / crop[1])) > SHAPE_TOLERANCE
    return not differs and size[0] <= crop[0]
