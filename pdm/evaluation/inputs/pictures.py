"""The pictures that an evaluation compares: samples, held-out pictures and training pictures."""

from pathlib import Path
from typing import NamedTuple

from pdm.counts import counted
from pdm.data.shards import manifest
from pdm.data.shards.buckets import buckets_of, has_buckets
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput, QualityGate
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.inputs.sample_size import has_shape, shape_distance
from pdm.evaluation.inputs.samples_folder import SampleSet, listed_sizes, read_samples
from pdm.models.base_autoencoder import Autoencoder

MIN_PICTURES = 2  # of each set; one picture has no variance


class PictureSets(NamedTuple):
    """The three sets, all at the samples' size."""

    samples: SampleSet
    val: PictureSet
    train: PictureSet


def read_picture_sets(
    samples: Path, shards: Path, model: Autoencoder, size: tuple[int, int] | None = None
) -> PictureSets:
    """Open the three sets. Held-out and training pictures are reduced to the samples' size.

    Args:
        samples: Written by the stage `sample`.
        shards: Written by the stage `shard`. If they have several sizes, only pictures of the
            samples' shape are compared.
        model: The autoencoder.
        size: (H, W) of the samples to read, where they have several; None if they have one.

    Raises:
        BadInput: The samples cannot be read, or have a size that the autoencoder does not support.
        QualityGate: A set is too small, or a picture is both held out and trained on.
    """
    sample_set = read_samples(samples, size)
    height, width = sample_set.size
    try:
        model.level_shapes(height, width)
    except ValueError as error:
        raise BadInput(
            f"{samples} has images of {width}x{height}, which this autoencoder cannot "
            f"reconstruct ({error}); sample again with the same autoencoder"
        ) from error
    sets = PictureSets(
        sample_set,
        shard_pictures(open_shape(shards, "val", height, width), height, width),
        shard_pictures(open_shape(shards, "train", height, width), height, width),
    )
    for pictures in sets:
        if len(pictures) < MIN_PICTURES:
            name = pictures.name
            raise QualityGate(
                f"{counted(len(pictures), f'{name} image is', f'{name} images are')} too few to be "
                f"scored; at least {MIN_PICTURES} are needed"
            )
    if shared := sorted(set(sets.val.keys) & set(sets.train.keys)):
        raise QualityGate(
            f"{shards} has images that are both held out and trained on ({len(shared):,}, "
            f"{shared[0]} first); write the shards again"
        )
    return sets


def open_shape(shards: Path, split: str, height: int, width: int) -> ImageShards:
    """Open the pictures of a split that have this shape: all, if the shards have one size.

    A named size (`sample.size`) may differ from the shape by the rounding of its sides.

    Raises:
        BadInput: The shards have several sizes, and none has this shape.
    """
    listed = manifest.load(shards)
    if not has_buckets(listed.facts):
        return ImageShards(shards, split)
    known = buckets_of(listed)
    nearest = min(known, key=lambda bucket: shape_distance(bucket.size, width, height))
    if has_shape(nearest.size, width, height):
        return ImageShards(shards, split, only=nearest.size)
    names = ", ".join(bucket.name for bucket in known)
    raise BadInput(
        f"{shards} has images of {names}, but the samples are {width}x{height}, which is none of "
        "these shapes; sample again with a model that was trained on these shards"
    )


def sizes_of_samples(samples: Path, shards: Path) -> list[tuple[int, int] | None]:
    """(H, W) of all sizes of samples, the main size of the shards first; [None] if there is one.

    Raises:
        BadInput: The list of the samples is missing or damaged.
    """
    found = listed_sizes(samples)
    if len(found) < 2:
        return [None]
    facts = manifest.load(shards).facts
    across, down = facts["width_px"], facts["height_px"]
    main = [size for size in found if size[1] * down == size[0] * across]
    return [*main, *(size for size in found if size not in main)]


def shard_pictures(images: ImageShards, height: int, width: int) -> PictureSet:
    """Return the pictures of a split at this size."""
    return PictureSet(
        name=images.split, keys=images.keys, load=lambda index: images.load(index, height, width)
    )
