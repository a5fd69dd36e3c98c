"""Scores of pictures that are never all in one place: as they are drawn, or by many workers.

    scores = score_batches(batches, shards, config, cache)

takes any iterator of batches and writes no picture anywhere. What is kept of a picture is its share
of exact sums (`pdm.evaluation.distances.exact_moments`): memory does not grow with their number,
and parts that several workers have seen add up to the same bits in any order. Each view's Fréchet
distance is all that can be had that way; neighbours, kernels and intervals need `evaluate`.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from pdm.config.evaluate import EvaluateConfig
from pdm.data.code import code_version
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.data.shards.manifest import digest
from pdm.errors import QualityGate
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.features.batch import Batch, num_at_once, parts
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.pretrained import Network
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.reference import CODE
from pdm.evaluation.features.views import View, views_of
from pdm.files import whole_file

MIN_PICTURES = 2


class Stream:
    """Moments of what the views see of the pictures so far.

    Args:
        views: All of pictures of one size.
    """

    def __init__(self, views: list[View]) -> None:
        self.views = views
        self.num_pictures = 0
        self.moments: dict[str, ExactMoments] = {}

    def add(self, pictures: Pixels, numbers: NDArray[np.int64]) -> None:
        """Look at pictures (B, H, W, 3), which have these numbers in their set. However many they
        are, memory is that of a few.

        Raises:
            QualityGate: A feature is not finite.
        """
        start = 0
        for part in parts(pictures):
            self._add(Batch(part, numbers[start : start + len(part)]))
            start += len(part)

    def _add(self, batch: Batch) -> None:
        for view in self.views:
            vectors = view.look(batch)
            moments = self.moments.setdefault(view.name, ExactMoments(vectors.shape[1]))
            try:
                moments.add(vectors)
            except ValueError as error:
                raise QualityGate(f"{view.name}: {error}; look at the pictures") from error
        self.num_pictures += len(batch)

    def merge(self, other: "Stream") -> None:
        """Count in what another worker has seen."""
        for name, moments in other.moments.items():
            if name in self.moments:
                self.moments[name].merge(moments)
            else:
                self.moments[name] = ExactMoments.of_arrays(moments.arrays())
        self.num_pictures += other.num_pictures

    def distances(self, reference: "Stream") -> dict[str, float]:
        """Fréchet distance from the reference by each view, under the names of `evaluate`."""
        return {
            view.frechet: frechet_distance(
                self.moments[view.name].moments(), reference.moments[view.name].moments()
            )
            for view in self.views
        }

    def save(self, path: Path) -> None:
        """Write all of it: equal pictures give equal bytes, whoever saw them in whatever order."""
        arrays: dict[str, NDArray[np.generic]] = {"num_pictures": np.array(self.num_pictures)}
        for name, moments in self.moments.items():
            arrays |= {f"{name}/{part}": array for part, array in moments.arrays().items()}
        with whole_file(path) as temporary:
            save_file(arrays, temporary)

    @classmethod
    def load(cls, path: Path, views: list[View]) -> "Stream":
        """What `save` wrote, by a stream of the same views."""
        arrays = load_file(path)
        stream = cls(views)
        stream.num_pictures = int(arrays["num_pictures"])
        for view in views:
            start = f"{view.name}/"
            parts = {
                name.removeprefix(start): array
                for name, array in arrays.items()
                if name.startswith(start)
            }
            stream.moments[view.name] = ExactMoments.of_arrays(parts)
        return stream


def streamed(
    pictures: PictureSet,
    numbers: NDArray[np.int64],
    views: list[View],
    batch_size: int,
    rank: int = 0,
    num_workers: int = 1,
) -> Stream:
    """One worker's share of some pictures of a set.

    Batches are the same whatever the number of workers, each of which takes every so many-th: a
    network may see a picture a little differently in other company.
    """
    stream = Stream(views)
    count = num_at_once(batch_size, pictures.size)
    batches = [numbers[start : start + count] for start in range(0, len(numbers), count)]
    for batch in batches[rank::num_workers]:
        stream.add(pictures.some(batch.tolist()), batch)
    return stream


def score_batches(
    batches: Iterable[Pixels], shards: Path, config: EvaluateConfig, cache: Path
) -> dict[str, float]:
    """Score pictures as they come, against all held-out pictures.

    Args:
        batches: uint8 (B, H, W, 3), all of one size, read once.
        shards: Written by the stage `shard`.
        config: Sizes and seeds of the scores, and networks.
        cache: Where the moments of real pictures are kept, by the digest of their manifest.

    Returns:
        `NAME/samples_vs_val` and its floor `NAME/train_vs_val`, of as many training pictures (or
        all there are), and the counts.

    Raises:
        QualityGate: There are fewer than two pictures, or features that are not finite.
    """
    stream: Stream | None = None
    for batch in batches:
        if stream is None:
            stream = Stream(_views(config, batch.shape[1:3]))
            size = batch.shape[1:3]
        first = stream.num_pictures
        stream.add(batch, np.arange(first, first + len(batch)))
    if stream is None or stream.num_pictures < MIN_PICTURES:
        found = stream.num_pictures if stream else 0
        raise QualityGate(f"{found} pictures are too few to be scored; draw {MIN_PICTURES} or more")
    val = _kept(shards, "val", None, size, stream.views, config, cache)
    train = _kept(shards, "train", stream.num_pictures, size, stream.views, config, cache)
    return {
        **{f"{name}/samples_vs_val": value for name, value in stream.distances(val).items()},
        **{f"{name}/train_vs_val": value for name, value in train.distances(val).items()},
        "counts/num_samples": stream.num_pictures,
        "counts/num_val": val.num_pictures,
        "counts/num_train_compared": train.num_pictures,
    }


def _views(config: EvaluateConfig, size: tuple[int, ...]) -> list[View]:
    networks = [Network(each) for each in config.features]
    extractor = RandomConvFeatures(config.num_features, config.seed)
    return views_of(config, (size[0], size[1]), extractor, networks)


def _kept(
    shards: Path,
    split: str,
    count: int | None,
    size: tuple[int, ...],
    views: list[View],
    config: EvaluateConfig,
    cache: Path,
) -> Stream:
    """Moments of `count` real pictures, or all, from the cache if they are there."""
    images = ImageShards(shards, split)
    chosen = np.random.default_rng([config.seed]).permutation(len(images))[:count]
    data = digest(shards)
    said = [[view.name, view.per_picture, view.convention] for view in views]
    all_of_it = [data, split, *size, len(chosen), config.batch_size, said, code_version(CODE)]
    name = hashlib.sha256(json.dumps(all_of_it).encode()).hexdigest()[:16]
    path = cache / f"{data[:16]}-{split}-moments-{name}.safetensors"
    if not path.exists():
        pictures = PictureSet(
            name=split, keys=images.keys, load=lambda index: images.load(index, size[0], size[1])
        )
        streamed(pictures, np.sort(chosen), views, config.batch_size).save(path)
    return Stream.load(path, views)
