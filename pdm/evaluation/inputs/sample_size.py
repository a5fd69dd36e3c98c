"""Whether samples of the size that `sample.size` names can be compared with held-out pictures."""

import json
import math
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
    width, height = size
    if not any(has_shape(crop, width, height) and width <= crop[0] for crop in crops):
        listed = ", ".join(map(bucket_name, crops))
        raise BadInput(
            f"the samples are {width}x{height} (sample.size), the held-out images "
            f"{listed}: only a size of their shape that is not larger can be scored; "
            "set sample.size to such a size, or to null"
        )


def has_shape(crop: tuple[int, int], width: int, height: int) -> bool:
    """Whether crops of a width and height can be resized to others without stretching them."""
    return shape_distance(crop, width, height) <= SHAPE_TOLERANCE


def shape_distance(crop: tuple[int, int], width: int, height: int) -> float:
    """|log ratio| of the shapes of crops of a width and height and of another size; 0 if equal."""
    return abs(math.log(width * crop[1]) - math.log(height * crop[0]))
