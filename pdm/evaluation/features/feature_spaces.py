"""The feature spaces in which sets of pictures are compared.

A feature space maps a picture to one or several vectors, by a network and a part of the picture:
the whole picture, which shows layout and colour; crops without resizing, which show detail that is
lost at a network's input size; or a level of the Laplacian pyramid, which shows at which scale
samples go wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.sliced_wasserstein import level_name
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.batch import Batch, Numbers, split_pictures
from pdm.evaluation.features.laplacian import laplacian_pyramid
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.evaluation.features.pretrained import PretrainedFeatures
from pdm.evaluation.features.random_conv import RandomConvFeatures

CROPS = 7  # separates the crops' random numbers from those of the patches

Extractor = Callable[[Pixels], Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureSpace:
    """A mapping from pictures of one size to vectors of length D, and the names of its scores."""

    name: str
    frechet_name: str
    kernel_name: str
    per_picture: int  # number of vectors of each picture
    of_whole_pictures: bool  # one vector of the whole picture, so neighbours are meaningful
    convention: str  # to be quoted with every score
    extract: Callable[[Batch], Array]  # to (B x per_picture, D)


def feature_spaces(
    config: EvaluateConfig,
    size: tuple[int, int],
    extractor: RandomConvFeatures,
    networks: Sequence[PretrainedFeatures | PackagedFeatures],
) -> list[FeatureSpace]:
    """Build all feature spaces for pictures of (height, width).

    The first is `random_conv` on whole pictures, followed by its crops and levels, fine to coarse,
    and by whole pictures and crops of each pretrained network.
    """
    random_features = f"{config.num_features} values, seed {config.seed}"
    spaces = _whole_and_crops(
        random_conv.NAME, _from_pixels(extractor), size, config, random_features
    )
    spaces += [
        _level(depth, name, extractor, random_features)
        for depth, name in enumerate(_level_names(*size))
    ]
    for network in networks:
        if isinstance(network, PackagedFeatures):
            spaces += _by_packaged(network, size, config)
            continue
        standard = network.convention if network.is_standard_inception else None
        description = (
            f"{network.kind.side_px} px, resized as {network.convention} does, file with sha256 "
            f"{network.sha256}"
        )
        spaces += _whole_and_crops(network.name, network, size, config, description, standard)
    return spaces


def cut_crops(pictures: Pixels, numbers: Numbers, config: EvaluateConfig) -> Pixels:
    """Cut `crops_per_image` squares from each picture, (B x crops_per_image, side, side, 3).

    They are never resized. Positions depend on the picture's index and the seed. The side is
    `crop_px`, or the picture's shorter side.
    """
    height, width = pictures.shape[1:3]
    side = min(config.crop_px, height, width)
    crops = []
    for picture, number in zip(pictures, numbers, strict=True):
        random = np.random.default_rng([config.seed, CROPS, int(number)])
        tops = random.integers(height - side + 1, size=config.crops_per_image)
        lefts = random.integers(width - side + 1, size=config.crops_per_image)
        crops += [
            picture[top : top + side, left : left + side]
            for top, left in zip(tops, lefts, strict=True)
        ]
    return np.stack(crops)


def _whole_and_crops(
    name: str,
    extractor: Extractor,
    size: tuple[int, int],
    config: EvaluateConfig,
    description: str,
    standard: str | None = None,
    crops_extractor: Extractor | None = None,
) -> list[FeatureSpace]:
    """Build two spaces of one network: whole pictures and crops.

    Args:
        crops_extractor: Of crops; None for the same as of whole pictures.
        standard: The resize convention, if the network is the standard Inception, so that the
            scores may be called FID and KID.
    """
    side = min(config.crop_px, *size)
    frechet, kernel = (f"{score}_{name}" for score in ("frechet", "kernel"))
    if standard:
        frechet, kernel = (f"{score}_{standard}" for score in ("fid", "kid"))
    of_crops = crops_extractor or extractor
    crops = f"{config.crops_per_image} crops of {side}x{side} px per picture, seed {config.seed}"
    return [
        FeatureSpace(
            name=name,
            frechet_name=frechet,
            kernel_name=kernel,
            per_picture=1,
            of_whole_pictures=True,
            convention=f"{name}, whole pictures: {description}",
            extract=lambda batch: extractor(batch.pictures),
        ),
        FeatureSpace(
            name=f"{name}_crops",
            frechet_name=f"{frechet}_crops",
            kernel_name=f"{kernel}_crops",
            per_picture=config.crops_per_image,
            of_whole_pictures=False,
            convention=f"{name}, {crops}: {description}",
            extract=lambda batch: of_crops(cut_crops(batch.pictures, batch.numbers, config)),
        ),
    ]


def _by_packaged(
    network: PackagedFeatures, size: tuple[int, int], config: EvaluateConfig
) -> list[FeatureSpace]:
    description = f"weights with sha256 {network.sha256}"
    resized = f"shorter side to {network.side_px} px, Pillow's bicubic; crops as they are"
    return _whole_and_crops(
        network.name,
        network.of_whole,
        size,
        config,
        f"{resized}; {description}",
        crops_extractor=network.of_crops,
    )


def _level(depth: int, level: str, extractor: RandomConvFeatures, description: str) -> FeatureSpace:
    def extract(batch: Batch) -> Array:
        return np.asarray(extractor(batch.levels[depth]).numpy())

    name = f"{random_conv.NAME}_{level}"
    return FeatureSpace(
        name=name,
        frechet_name=f"frechet_{name}",
        kernel_name=f"kernel_{name}",
        per_picture=1,
        of_whole_pictures=False,
        convention=f"{name}, that level of the Laplacian pyramid: {description}",
        extract=extract,
    )


def _level_names(height: int, width: int) -> list[str]:
    # The shapes follow from halving alone; one row and column of zeros per pixel is cheap enough.
    return [level_name(level) for level in laplacian_pyramid(torch.zeros(1, 1, height, width))]


def _from_pixels(extractor: RandomConvFeatures) -> Extractor:
    return lambda pictures: np.concatenate(
        [extractor(to_images(part)).numpy() for part in split_pictures(pictures)]
    )
