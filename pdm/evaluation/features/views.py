"""What of a picture is scored: the whole of it, crops at its own size, or one level of detail.

A view turns a picture into one vector or several. Whole pictures tell layout and colour; crops, cut
without any reduction, tell detail that a network's input size would wipe out; the levels of the
Laplacian pyramid tell at which scale a set of samples goes wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pdm.config.evaluate import EvaluateConfig
from pdm.data.pixels import Pixels, to_images
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.sliced_wasserstein import level_name
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.batch import Batch, Numbers, parts
from pdm.evaluation.features.laplacian import laplacian_pyramid
from pdm.evaluation.features.pretrained import Network
from pdm.evaluation.features.random_conv import RandomConvFeatures

CROPS = 7  # keeps the crops' random numbers apart from those of the patches

Extractor = Callable[[Pixels], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One way to look at pictures of one size."""

    name: str
    frechet: str  # names of the scores
    kernel: str
    per_picture: int
    is_whole: bool  # one vector of the whole picture: neighbours mean something
    convention: str
    look: Callable[[Batch], Array]  # to (B x per_picture, D)


def views_of(
    config: EvaluateConfig,
    size: tuple[int, int],
    extractor: RandomConvFeatures,
    networks: Sequence[Network],
) -> list[View]:
    """All views of pictures of (height, width); the first is of the whole by `random_conv`."""
    plain = _random_conv(extractor)
    seeded = f"{config.num_features} values, seed {config.seed}"
    views = [*_whole_and_crops(random_conv.NAME, plain, size, config, seeded, None)]
    views += [
        _level(depth, name, extractor, seeded) for depth, name in enumerate(_level_names(*size))
    ]
    for network in networks:
        standard = network.convention if network.is_standard_inception else None
        said = (
            f"{network.kind.side_px} px, resized as {network.convention} does, file with sha256 "
            f"{network.sha256}"
        )
        views += _whole_and_crops(network.name, network, size, config, said, standard)
    return views


def crops(pictures: Pixels, numbers: Numbers, config: EvaluateConfig) -> Pixels:
    """`crops_per_image` squares of each picture, (B x crops_per_image, side, side, 3).

    Cut, never resized, at places that follow from the picture's number and the seed. The side is
    `crop_px`, or the picture's shorter side.
    """
    height, width = pictures.shape[1:3]
    side = min(config.crop_px, height, width)
    cut = []
    for picture, number in zip(pictures, numbers, strict=True):
        places = np.random.default_rng([config.seed, CROPS, int(number)])
        tops = places.integers(height - side + 1, size=config.crops_per_image)
        lefts = places.integers(width - side + 1, size=config.crops_per_image)
        cut += [
            picture[top : top + side, left : left + side]
            for top, left in zip(tops, lefts, strict=True)
        ]
    return np.stack(cut)


def _whole_and_crops(
    name: str,
    extractor: Extractor,
    size: tuple[int, int],
    config: EvaluateConfig,
    said: str,
    standard: str | None,
) -> list[View]:
    """Two views; `standard` is the convention under which the scores may be called FID and KID."""
    side = min(config.crop_px, *size)
    frechet, kernel = (f"{score}_{name}" for score in ("frechet", "kernel"))
    if standard:
        frechet, kernel = (f"{score}_{standard}" for score in ("fid", "kid"))
    crops_said = (
        f"{config.crops_per_image} crops of {side}x{side} px per picture, seed {config.seed}"
    )
    return [
        View(
            name=name,
            frechet=frechet,
            kernel=kernel,
            per_picture=1,
            is_whole=True,
            convention=f"{name}, whole pictures: {said}",
            look=lambda batch: extractor(batch.pictures),
        ),
        View(
            name=f"{name}_crops",
            frechet=f"{frechet}_crops",
            kernel=f"{kernel}_crops",
            per_picture=config.crops_per_image,
            is_whole=False,
            convention=f"{name}, {crops_said}: {said}",
            look=lambda batch: extractor(crops(batch.pictures, batch.numbers, config)),
        ),
    ]


def _level(depth: int, level: str, extractor: RandomConvFeatures, said: str) -> View:
    def look(batch: Batch) -> Array:
        return np.asarray(extractor(batch.levels[depth]).numpy())

    name = f"{random_conv.NAME}_{level}"
    return View(
        name=name,
        frechet=f"frechet_{name}",
        kernel=f"kernel_{name}",
        per_picture=1,
        is_whole=False,
        convention=f"{name}, that level of the Laplacian pyramid: {said}",
        look=look,
    )


def _level_names(height: int, width: int) -> list[str]:
    # The shapes follow from halving alone; one row and column of zeros per pixel is cheap enough.
    return [level_name(level) for level in laplacian_pyramid(torch.zeros(1, 1, height, width))]


def _random_conv(extractor: RandomConvFeatures) -> Extractor:
    return lambda pictures: np.concatenate(
        [extractor(to_images(part)).numpy() for part in parts(pictures)]
    )
