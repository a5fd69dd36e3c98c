"""The pictures that an evaluation compares: samples, held-out pictures and training pictures."""

from pathlib import Path
from typing import NamedTuple

from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput, QualityGate
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.samples_folder import SampleSet, read_samples
from pdm.models.codec import Autoencoder

MIN_PICTURES = 2  # of each set; one picture has no variance


class PictureSets(NamedTuple):
    """The three sets, all at the samples' size."""

    samples: SampleSet
    val: PictureSet
    train: PictureSet


def read_picture_sets(samples: Path, shards: Path, model: Autoencoder) -> PictureSets:
    """Open the three sets. Held-out and training pictures are reduced to the samples' size.

    Raises:
        BadInput: The samples cannot be read, or have a size that the autoencoder does not support.
        QualityGate: A set is too small, or a picture is both held out and trained on.
    """
    sample_set = read_samples(samples)
    height, width = sample_set.size
    try:
        model.level_shapes(height, width)
    except ValueError as error:
        raise BadInput(
            f"{samples} has pictures of {width}x{height}, which this autoencoder cannot "
            f"reconstruct ({error}); sample again with the same autoencoder"
        ) from error
    sets = PictureSets(
        sample_set,
        shard_pictures(ImageShards(shards, "val"), height, width),
        shard_pictures(ImageShards(shards, "train"), height, width),
    )
    for pictures in sets:
        if len(pictures) < MIN_PICTURES:
            raise QualityGate(
                f"{len(pictures)} {pictures.name} pictures are too few to be scored; "
                f"at least {MIN_PICTURES} are needed"
            )
    if shared := sorted(set(sets.val.keys) & set(sets.train.keys)):
        raise QualityGate(
            f"{len(shared)} pictures of {shards} are both held out and trained on, {shared[0]} "
            "first; write the shards again"
        )
    return sets


def shard_pictures(images: ImageShards, height: int, width: int) -> PictureSet:
    """Return the pictures of a split at this size."""
    return PictureSet(
        name=images.split, keys=images.keys, load=lambda index: images.load(index, height, width)
    )
