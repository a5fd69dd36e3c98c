"""Scores pictures as a stream: while a model draws them, or with many workers.

    scores = score_batches(batches, shards, config, cache)

takes any iterator of batches and writes no picture. Pictures only add to exact sums
(`pdm.evaluation.distances.exact_moments`), so memory does not grow with their number, and the sums
of several workers give the same bits in any order. This gives only Fréchet distances; neighbours,
kernel distances and intervals need `evaluate`.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.counts import counted
from pdm.data.code import code_version
from pdm.data.pixels import Pixels
from pdm.data.shards.manifest import digest
from pdm.errors import QualityGate
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.features.array_files import read_arrays, write_arrays
from pdm.evaluation.features.batch import Batch, pictures_at_once, split_pictures
from pdm.evaluation.features.feature_spaces import FeatureSpace, feature_spaces
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary_cache import CODE
from pdm.evaluation.inputs.pictures import MIN_PICTURES, open_shape, shard_pictures
from pdm.evaluation.set_summaries import load_networks


class StreamedMoments:
    """Moments of the pictures so far, in each feature space.

    Args:
        spaces: Feature spaces for pictures of one size.
    """

    def __init__(self, spaces: list[FeatureSpace]) -> None:
        self.spaces = spaces
        self.num_pictures = 0
        self.moments: dict[str, ExactMoments] = {}

    def add(self, pictures: Pixels, numbers: NDArray[np.int64]) -> None:
        """Add pictures (B, H, W, 3) with these indices in their set. Memory is that of a few
        pictures.

        Raises:
            QualityGate: A feature is not finite.
        """
        start = 0
        for part in split_pictures(pictures):
            self._add(Batch(part, numbers[start : start + len(part)]))
            start += len(part)

    def _add(self, batch: Batch) -> None:
        for space in self.spaces:
            vectors = space.extract(batch)
            moments = self.moments.setdefault(space.name, ExactMoments(vectors.shape[1]))
            try:
                moments.add(vectors)
            except ValueError as error:
                raise QualityGate(f"{space.name}: {error}; look at the images") from error
        self.num_pictures += len(batch)

    def merge(self, other: "StreamedMoments") -> None:
        """Add the pictures of another worker."""
        for name, moments in other.moments.items():
            if name in self.moments:
                self.moments[name].merge(moments)
            else:
                self.moments[name] = ExactMoments.of_arrays(moments.arrays())
        self.num_pictures += other.num_pictures

    def distances(self, reference: "StreamedMoments") -> dict[str, float]:
        """Compute the Fréchet distance from the reference in each space, under the names of
        `evaluate`."""
        return {
            space.frechet_name: frechet_distance(
                self.moments[space.name].moments(), reference.moments[space.name].moments()
            )
            for space in self.spaces
        }

    def save(self, path: Path) -> None:
        """Write a file. Equal pictures give equal bytes, in any order and with any workers."""
        arrays: dict[str, NDArray[np.generic]] = {"num_pictures": np.array(self.num_pictures)}
        for name, moments in self.moments.items():
            arrays |= {f"{name}/{part}": array for part, array in moments.arrays().items()}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, spaces: list[FeatureSpace]) -> "StreamedMoments | None":
        """Load what `save` wrote with the same spaces; None if the file is missing or damaged."""
        arrays = read_arrays(path)
        if arrays is None:
            return None
        stream = cls(spaces)
        stream.num_pictures = int(arrays["num_pictures"])
        for space in spaces:
            start = f"{space.name}/"
            parts = {
                name.removeprefix(start): array
                for name, array in arrays.items()
                if name.startswith(start)
            }
            stream.moments[space.name] = ExactMoments.of_arrays(parts)
        return stream


def accumulate(
    pictures: PictureSet,
    numbers: NDArray[np.int64],
    spaces: list[FeatureSpace],
    batch_size: int,
    rank: int = 0,
    num_workers: int = 1,
) -> StreamedMoments:
    """Compute the moments of one worker's share of some pictures of a set.

    Batches do not depend on the number of workers, since the features of a pretrained network may
    depend on the batch in their last digits. Worker `rank` takes every `num_workers`-th batch.
    """
    stream = StreamedMoments(spaces)
    count = pictures_at_once(batch_size, pictures.size)
    batches = [numbers[start : start + count] for start in range(0, len(numbers), count)]
    for batch in batches[rank::num_workers]:
        stream.add(pictures.load_batch(batch.tolist()), batch)
    return stream


def score_batches(
    batches: Iterable[Pixels], shards: Path, config: EvaluateConfig, cache: Path
) -> dict[str, float]:
    """Score a stream of pictures against all held-out pictures.

    Args:
        batches: uint8 (B, H, W, 3), all of one size, read once.
        shards: Written by the stage `shard`.
        config: Sizes and seeds of the scores, and networks. One whose package is not installed is
            left out with a warning, as by the stage.
        cache: Folder for the moments of real pictures, by the digest of their manifest.

    Returns:
        `NAME/samples_vs_val`, its floor `NAME/train_vs_val` (of as many training pictures, or all
        there are), and the counts.

    Raises:
        QualityGate: There are fewer than two pictures, or features that are not finite.
    """
    stream: StreamedMoments | None = None
    for batch in batches:
        if stream is None:
            size = batch.shape[1:3]
            stream = StreamedMoments(_spaces(config, size))
        first = stream.num_pictures
        stream.add(batch, np.arange(first, first + len(batch)))
    if stream is None or stream.num_pictures < MIN_PICTURES:
        count = stream.num_pictures if stream else 0
        images = counted(count, "image is", "images are")
        raise QualityGate(f"{images} too few to be scored; draw {MIN_PICTURES} or more")
    val = _cached_moments(shards, "val", None, size, stream.spaces, config, cache)
    train = _cached_moments(
        shards, "train", stream.num_pictures, size, stream.spaces, config, cache
    )
    return {
        **{f"{name}/samples_vs_val": value for name, value in stream.distances(val).items()},
        **{f"{name}/train_vs_val": value for name, value in train.distances(val).items()},
        "counts/num_samples": stream.num_pictures,
        "counts/num_val": val.num_pictures,
        "counts/num_train_compared": train.num_pictures,
    }


def _spaces(config: EvaluateConfig, size: tuple[int, ...]) -> list[FeatureSpace]:
    networks = load_networks(config, torch.device("cpu"))
    extractor = RandomConvFeatures(config.num_features, config.seed)
    return feature_spaces(config, (size[0], size[1]), extractor, networks)


def _cached_moments(
    shards: Path,
    split: str,
    count: int | None,
    size: tuple[int, ...],
    spaces: list[FeatureSpace],
    config: EvaluateConfig,
    cache: Path,
) -> StreamedMoments:
    """Return the moments of `count` real pictures, or of all, from the cache if possible."""
    images = open_shape(shards, split, size[0], size[1])
    numbers = np.random.default_rng([config.seed]).permutation(len(images))[:count]
    data = digest(shards)
    described = [[space.name, space.per_picture, space.convention] for space in spaces]
    dependencies = [data, split, *size, len(numbers), config.batch_size, described]
    text = json.dumps([*dependencies, code_version(CODE)])
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = cache / f"{data[:16]}-{split}-moments-{name}.safetensors"
    stream = StreamedMoments.load(path, spaces)
    if stream is None:
        pictures = shard_pictures(images, size[0], size[1])
        stream = accumulate(pictures, np.sort(numbers), spaces, config.batch_size)
        stream.save(path)
    return stream
