"""Summarises a set of pictures in one pass, keeping only what the scores need.

Pictures are read batch by batch. The summary grows by a few kilobytes per picture (features, a
thumbnail, a spectrum), on disk: its arrays are mapped files, so memory does not grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.data.image_tensors import to_images
from pdm.errors import QualityGate
from pdm.evaluation.distances.exact_moments import moments_of
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.sliced_wasserstein import MAX_PATCHES, Patches, draw_patches
from pdm.evaluation.distances.spectrum import power_spectra
from pdm.evaluation.features.array_files import GrowingArray
from pdm.evaluation.features.batch import Batch, Numbers, pictures_at_once
from pdm.evaluation.features.feature_spaces import FeatureSpace
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.progress import Progress
from pdm.scratch_folders import scratch_folder

THUMBNAIL_SIDE_PX = 32  # the shorter side; copies are obvious at this size


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that the scores need about a set of N pictures."""

    name: str
    spaces: list[FeatureSpace]
    features: Array  # (N, num_features) of `random_conv`
    mirrored_features: Array  # of the pictures mirrored left to right
    thumbnails: NDArray[np.float32]  # (N, 3, h, w) in [-1, 1]
    compared: Numbers  # indices of the pictures used for distances
    vectors: dict[str, Array]  # of the compared pictures, by feature space
    patches: dict[str, Patches]  # of the compared pictures, by Laplacian level, fine to coarse
    spectra: Array  # of the compared pictures: power in each bin, (compared, bins)

    @property
    def spectrum(self) -> Array:
        """Return the mean power of the compared pictures in each bin."""
        return np.asarray(self.spectra.mean(0))

    @cached_property
    def moments(self) -> dict[str, Moments]:
        """Compute mean and covariance of the vectors, by feature space."""
        return {name: moments_of(vectors) for name, vectors in self.vectors.items()}


class Summaries(NamedTuple):
    """Summaries of the three sets of an evaluation."""

    samples: Summary
    val: Summary
    train: Summary


@torch.no_grad()
def summarise(
    pictures: PictureSet,
    compared: Numbers,
    extractor: RandomConvFeatures,
    spaces: list[FeatureSpace],
    config: EvaluateConfig,
    scratch: Path | None = None,
) -> Summary:
    """Summarise a set, reading its pictures once.

    Args:
        pictures: Pictures of one size.
        compared: Ascending indices of the pictures used for distances between sets.
        extractor: Network of the features for nearest neighbours.
        spaces: Feature spaces of the distances; the first is `extractor`'s on whole pictures.
        config: Sizes and seeds.
        scratch: Folder on a disk with room for the summary; None: the system's for temporary files.
            The space is free again when the summary is no longer used.

    Raises:
        QualityGate: A feature is not finite.
    """
    if scratch:
        scratch.mkdir(parents=True, exist_ok=True)
    # A file that is mapped can be read after it was removed.
    with scratch_folder("features", scratch) as folder:
        collector = _Collector(pictures.name, compared, extractor, spaces, config, folder)
        progress = Progress(f"features of {pictures.name}", len(pictures))
        count = pictures_at_once(config.batch_size, pictures.size)
        for start in range(0, len(pictures), count):
            numbers = np.arange(start, min(start + count, len(pictures)))
            batch = Batch(pictures.load_batch(numbers.tolist()), numbers, extractor.device)
            collector.add(batch)
            progress.advance(len(numbers))
        return collector.summary()


class _Collector:
    """Collects a summary batch by batch, in files of a folder. It takes the arguments of
    `summarise`."""

    def __init__(
        self,
        name: str,
        compared: Numbers,
        extractor: RandomConvFeatures,
        spaces: list[FeatureSpace],
        config: EvaluateConfig,
        folder: Path,
    ) -> None:
        self.name, self.compared, self.extractor, self.spaces = name, compared, extractor, spaces
        self.config = config
        self.last_with_patches = compared[: max(1, MAX_PATCHES // config.patches_per_image)][-1]
        names = ("features", "mirrored", "thumbnails", "spectra")
        self.features, self.mirrored, self.thumbnails, self.spectra = (
            GrowingArray(folder / name) for name in names
        )
        self.vectors = {
            space.name: GrowingArray(folder / f"vectors-{number}")
            for number, space in enumerate(spaces)
        }
        self.patches: dict[str, list[Patches]] = {}  # limited by `MAX_PATCHES`

    def add(self, batch: Batch) -> None:
        images = to_images(batch.pictures, self.extractor.device)
        features = self.extractor(images).numpy()
        self.features.append(features)
        self.mirrored.append(self.extractor(images.flip(3)).numpy())
        self.thumbnails.append(thumbnails_of(images))
        places = np.flatnonzero(np.isin(batch.numbers, self.compared))
        if len(places):
            self._compare(batch.select(places), features[places])

    def _compare(self, batch: Batch, features: Array) -> None:
        """Add the data for distances of pictures with these `features`."""
        first, *others = self.spaces
        extracted = {first.name: features} | {space.name: space.extract(batch) for space in others}
        for name, vectors in extracted.items():
            _check_finite(vectors, name, self.name)
            self.vectors[name].append(vectors)
        for picture in batch.pictures:
            self.spectra.append(power_spectra(picture[None]))
        for place, number in enumerate(batch.numbers.tolist()):
            if number <= self.last_with_patches:
                self._add_patches([level[place : place + 1] for level in batch.levels], number)

    def _add_patches(self, levels: Sequence[Tensor], number: int) -> None:
        patches_by_level = draw_patches(
            levels, number, self.config.patches_per_image, self.config.seed
        )
        for level, patches in patches_by_level.items():
            self.patches.setdefault(level, []).append(patches)

    def summary(self) -> Summary:
        return Summary(
            name=self.name,
            spaces=self.spaces,
            features=self.features.array(),
            mirrored_features=self.mirrored.array(),
            thumbnails=self.thumbnails.array(),
            compared=self.compared,
            vectors={name: vectors.array() for name, vectors in self.vectors.items()},
            patches={level: np.concatenate(parts) for level, parts in self.patches.items()},
            spectra=self.spectra.array(),
        )


def thumbnails_of(images: Tensor) -> NDArray[np.float32]:
    """Reduce images (B, 3, H, W) to a shorter side of `THUMBNAIL_SIDE_PX`, with antialiasing."""
    height, width = images.shape[-2:]
    scale = min(1.0, THUMBNAIL_SIDE_PX / min(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    return small.cpu().numpy()


def _check_finite(vectors: Array, space: str, pictures: str) -> None:
    if not np.isfinite(vectors).all():
        raise QualityGate(
            f"features of {pictures} in {space} are not finite; look at the images, and at the "
            "network"
        )
