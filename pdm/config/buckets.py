"""Sizes of a data set with many aspect ratios: every bucket has one, as (width, height).

The autoencoder trains on reduced crops. All buckets are reduced by the same factor, that of the
main size: `curate.width_px` over `autoencoder.image_width_px`.
"""

from collections.abc import Sequence
from fractions import Fraction

from pdm.config.limits import require

Size = tuple[int, int]  # width and height in pixels


def bucket_name(size: Size) -> str:
    """The name of a bucket in files and messages, such as 512x384 (width x height)."""
    return f"{size[0]}x{size[1]}"


def check_buckets(buckets: Sequence[Size], main: Size) -> None:
    """Check a list of buckets by itself.

    Raises:
        ValueError: It is empty, lacks the main size, or has two buckets of one shape, between
            which no picture could choose.
    """
    require(
        main in buckets,
        "buckets",
        list(map(bucket_name, buckets)),
        f"a list with the main size, width_px x height_px ({bucket_name(main)})",
    )
    shapes: dict[Fraction, Size] = {}
    for size in buckets:
        other = shapes.setdefault(Fraction(*size), size)
        require(
            other is size,
            "buckets",
            f"{bucket_name(other)} and {bucket_name(size)}",
            "one bucket for each shape",
        )


def training_size(size: Size, main: Size, main_training: Size) -> Size:
    """The size at which a bucket is trained on.

    Args:
        size: Of the bucket's crops.
        main: Size of the main bucket's crops.
        main_training: Size at which that one is trained on, of the same shape.

    Raises:
        ValueError: It would not be whole pixels.
    """
    scale = Fraction(main_training[0], main[0])
    width, height = (side * scale for side in size)
    if width.denominator != 1 or height.denominator != 1:
        raise ValueError(
            f"{bucket_name(size)} reduced as {bucket_name(main)} is to "
            f"{bucket_name(main_training)} would be {float(width):g}x{float(height):g} pixels"
        )
    return int(width), int(height)
