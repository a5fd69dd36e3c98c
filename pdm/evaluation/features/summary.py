"""One pass over a set of pictures, keeping only what the scores need.

Pictures are read and let go batch by batch. What stays grows by a few kilobytes a picture
(features, a thumbnail, a spectrum), or not at all (patches).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pdm.config.evaluate import EvaluateConfig
from pdm.data.pixels import to_images
from pdm.errors import QualityGate
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.sliced_wasserstein import MAX_PATCHES, Patches, draw_patches
from pdm.evaluation.distances.spectrum import power_spectra
from pdm.evaluation.features.laplacian import laplacian_pyramid
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.views import View
from pdm.progress import Progress

THUMBNAIL_SIDE_PX = 32  # the shorter side; copies are plain at this size


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What the scores need of a set of N pictures."""

    name: str
    views: list[View]
    features: Array  # (N, num_features) of `random_conv`
    mirrored_features: Array  # of the pictures mirrored left to right
    thumbnails: NDArray[np.float32]  # (N, 3, h, w) in [-1, 1]
    compared: NDArray[np.int64]  # numbers of the pictures that the distances below are about
    vectors: dict[str, Array]  # of the compared ones, by view
    patches: dict[str, Patches]  # of the compared ones, by Laplacian level, fine to coarse
    spectra: Array  # their power in each bin, (compared, bins)

    @property
    def spectrum(self) -> Array:
        """Mean power of the compared pictures in each bin."""
        return np.asarray(self.spectra.mean(0))


@torch.no_grad()
def summarise(
    pictures: PictureSet,
    compared: NDArray[np.int64],
    extractor: RandomConvFeatures,
    views: list[View],
    config: EvaluateConfig,
) -> Summary:
    """Read the pictures once.

    Args:
        pictures: All of one size.
        compared: Numbers of those that distances between sets are about, rising.
        extractor: Of the features that neighbours are found by.
        views: How the compared pictures are looked at, the first being `extractor`'s of the whole.
        config: Sizes and seeds.

    Raises:
        QualityGate: A feature is not finite.
    """
    with_patches = compared[: max(1, MAX_PATCHES // config.patches_per_image)]
    features, mirrored, thumbnails, spectra = [], [], [], []
    patches: dict[str, list[Patches]] = {}
    vectors: dict[str, list[Array]] = {view.name: [] for view in views}
    progress = Progress(f"looking at {pictures.name}", len(pictures))
    for start, batch in zip(
        range(0, len(pictures), config.batch_size),
        pictures.batches(config.batch_size),
        strict=True,
    ):
        images = to_images(batch)
        features.append(extractor(images).numpy())
        mirrored.append(extractor(images.flip(3)).numpy())
        thumbnails.append(thumbnails_of(images))
        if len(places := _within(compared, start, len(batch))):
            for view in views:
                found = view.look(batch[places], start + places)
                vectors[view.name].append(_finite(found, view, pictures))
        spectra += [power_spectra(batch[[place]]) for place in places]
        for place in _within(with_patches, start, len(batch)):
            levels = laplacian_pyramid(images[place : place + 1])
            drawn = draw_patches(levels, start + place, config.patches_per_image, config.seed)
            for level, some in drawn.items():
                patches.setdefault(level, []).append(some)
        progress.advance(len(batch))
    return Summary(
        name=pictures.name,
        views=views,
        features=np.concatenate(features),
        mirrored_features=np.concatenate(mirrored),
        thumbnails=np.concatenate(thumbnails),
        compared=compared,
        vectors={name: np.concatenate(found) for name, found in vectors.items()},
        patches={level: np.concatenate(found) for level, found in patches.items()},
        spectra=np.concatenate(spectra),
    )


def thumbnails_of(images: Tensor) -> NDArray[np.float32]:
    """`images` (B, 3, H, W) with the shorter side reduced, antialiased, to `THUMBNAIL_SIDE_PX`."""
    height, width = images.shape[-2:]
    scale = min(1.0, THUMBNAIL_SIDE_PX / min(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    return small.numpy()


def _within(numbers: NDArray[np.int64], start: int, count: int) -> NDArray[np.int64]:
    """Places in a batch of those of its pictures that are among `numbers`."""
    return numbers[(numbers >= start) & (numbers < start + count)] - start


def _finite(vectors: Array, view: View, pictures: PictureSet) -> Array:
    if not np.isfinite(vectors).all():
        raise QualityGate(
            f"{view.name} gives features of {pictures.name} that are not finite; look at the "
            "pictures, and at the network"
        )
    return vectors
