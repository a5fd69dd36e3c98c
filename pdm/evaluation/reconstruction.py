"""Compares pictures with their reconstructions from each prefix of the autoencoder's levels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.errors import BadInput, QualityGate
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.batch import Batch
from pdm.evaluation.features.feature_spaces import FeatureSpace
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.models.base_autoencoder import Autoencoder

WINDOW_PX = 11
SIGMA_PX = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # fine to coarse, Wang et al., 2003
MAX_PSNR_DB = 100.0  # of equal pictures, whose PSNR is infinite
NUM_SHOWN = 4  # pictures whose reconstructions are kept, for people to look at
SHOWN_PX = 256  # largest width of these
STRIP_PIXELS = 2**15  # compared at once by SSIM, whose maps of them take 4 MB
MEASURES = ("psnr_db", "ssim", "ms_ssim")


def psnr(images: Tensor, references: Tensor, data_range: float) -> Tensor:
    """Peak signal-to-noise ratio of each picture, (B,) in decibels, at most `MAX_PSNR_DB`.

    Args:
        images: (B, C, H, W).
        references: As `images`.
        data_range: Largest minus smallest possible value.
    """
    error = (images - references).double().square().flatten(1).mean(1) / data_range**2
    return (-10 * error.log10()).clamp(max=MAX_PSNR_DB)


def ssim(images: Tensor, references: Tensor, data_range: float) -> Tensor:
    """Structural similarity of each picture, (B,), at most 1; mean over channels and places.

    Gaussian window of 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, only where the window lies inside
    the picture (Wang et al., 2004, doi:10.1109/TIP.2003.819861).

    Raises:
        ValueError: A side is shorter than the window.
    """
    return _mean_similarities(images, references, data_range)[0]


def ms_ssim(images: Tensor, references: Tensor, data_range: float) -> Tensor:
    """Structural similarity over several scales, each half the size of the last, (B,), at most 1.

    Contrast and structure count at every scale, luminance at the coarsest (Wang et al., 2003,
    doi:10.1109/ACSSC.2003.1292216). Sides of 176 pixels or more have five scales with the published
    weights. Smaller pictures have as many scales as the window fits into, with the first weights
    scaled to a sum of one; such values are comparable only between pictures of that size.

    Raises:
        ValueError: A side is shorter than the window.
    """
    return ssim_and_ms_ssim(images, references, data_range)[1]


def ssim_and_ms_ssim(
    images: Tensor, references: Tensor, data_range: float
) -> tuple[Tensor, Tensor]:
    """Return both, in hardly more time than `ms_ssim` takes: its finest scale is that of `ssim`."""
    weights = ms_ssim_weights(*images.shape[-2:])
    x, y = images, references
    finest: Tensor | None = None
    product = torch.ones(len(images), dtype=torch.float64, device=images.device)
    for scale, weight in enumerate(weights):
        at_last = scale == len(weights) - 1
        full, structure = _mean_similarities(x, y, data_range)
        finest = full if finest is None else finest
        product *= (full if at_last else structure).clamp_min(0) ** weight
        if not at_last:
            x, y = F.avg_pool2d(x.double(), 2), F.avg_pool2d(y.double(), 2)
    assert finest is not None
    return finest, product


def ms_ssim_weights(height: int, width: int) -> tuple[float, ...]:
    """Return the weight of each scale for pictures of this size, fine to coarse; sum 1."""
    count, side = 1, min(height, width)
    while count < len(SCALE_WEIGHTS) and side // 2 >= WINDOW_PX:
        count, side = count + 1, side // 2
    total = sum(SCALE_WEIGHTS[:count])
    return tuple(weight / total for weight in SCALE_WEIGHTS[:count])


def _mean_similarities(
    images: Tensor, references: Tensor, data_range: float
) -> tuple[Tensor, Tensor]:
    """Compute SSIM, and its part for contrast and structure, each a mean over channels and places
    where the window fits, (B,).

    A strip of rows at a time, so that its maps stay in the processor's cache and memory is small.
    """
    if min(images.shape[-2:]) < WINDOW_PX:
        raise ValueError(f"SSIM needs sides of at least {WINDOW_PX} px; got {images.shape}")
    channels, height, width = images.shape[1:]
    places = (height - WINDOW_PX + 1, width - WINDOW_PX + 1)
    rows = max(1, STRIP_PIXELS // width)
    sums = torch.zeros(2, len(images), dtype=torch.float64, device=images.device)
    for top in range(0, places[0], rows):
        strip = slice(top, top + rows + WINDOW_PX - 1)
        luminance, structure = _similarities(
            images[..., strip, :], references[..., strip, :], data_range
        )
        sums += torch.stack(
            [(luminance * structure).flatten(1).sum(1), structure.flatten(1).sum(1)]
        )
    full, structure = sums / (channels * places[0] * places[1])
    return full, structure


def _similarities(images: Tensor, references: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Compute luminance, and contrast with structure, at each place where the window fits."""
    x, y = images.double(), references.double()
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _gaussian_means(
        torch.stack([x, y, x * x, y * y, x * y])
    )
    variance_x, variance_y = mean_xx - mean_x**2, mean_yy - mean_y**2
    covariance = mean_xy - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure


@cache
def _window() -> tuple[float, ...]:
    """Return the weights of the Gaussian window along a side; their sum is 1."""
    offsets = range(-(WINDOW_PX // 2), WINDOW_PX // 2 + 1)
    weights = [math.exp(-(offset**2) / (2 * SIGMA_PX**2)) for offset in offsets]
    return tuple(weight / sum(weights) for weight in weights)


def _gaussian_means(maps: Tensor) -> Tensor:
    """Compute the Gaussian mean around each place where the window fits, of maps (..., H, W).

    By sums of shifted maps: torch's convolution of float64 takes several times as long on a CPU.
    """
    for dimension in (-2, -1):
        length = maps.shape[dimension] - WINDOW_PX + 1
        parts = [maps.narrow(dimension, start, length) for start in range(WINDOW_PX)]
        first, *others = _window()
        maps = parts[0] * first
        for part, tap in zip(parts[1:], others, strict=True):
            maps.add_(part, alpha=tap)
    return maps


def decode_prefixes(model: Autoencoder, images: Tensor) -> Iterator[Tensor]:
    """Decode images (B, 3, H, W) from the first level, the first two, ..., all; in [-1, 1].

    One at a time: at 2048x2048 each takes 50 MB and its decoding gigabytes.
    """
    with torch.no_grad():
        latents = model.encode(images)
    size = (images.shape[-2], images.shape[-1])
    for count in range(1, len(latents) + 1):
        with torch.no_grad():
            decoded = model.decode(latents[:count], size).clamp(-1, 1)
        yield decoded


@dataclass(frozen=True, slots=True)
class PrefixMeasures:
    """Measures of each picture decoded from one prefix of the levels."""

    measures: dict[str, Array]  # by name, (N,)
    vectors: dict[str, Array]  # by feature space of whole pictures, (N, D)
    shown: list[Pixels]  # the first reconstructions, uint8 (H, W, 3), reduced if they are large


def measure_reconstructions(
    model: Autoencoder, pictures: PictureSet, spaces: Sequence[FeatureSpace]
) -> list[PrefixMeasures]:
    """Measure the reconstruction of each picture, for each prefix of the levels.

    Measures are `psnr_db`, `ssim` and `ms_ssim`, and the features of the reconstruction in 8 bits
    in each feature space of whole pictures. Pictures are decoded one by one: in a batch, the last
    digits could differ.

    Raises:
        BadInput: The pictures are too small for the SSIM window.
        QualityGate: Decoded values are not finite.
    """
    collected: dict[int, dict[str, list[Array]]] = {}
    shown: dict[int, list[Pixels]] = {}
    device = next(model.parameters()).device
    for number in range(len(pictures)):
        images = to_images(pictures.load_batch([number]), device)
        if min(images.shape[-2:]) < WINDOW_PX:
            raise BadInput(
                f"images of {images.shape[-1]}x{images.shape[-2]} are too small to be scored; "
                f"SSIM needs {WINDOW_PX} px a side"
            )
        for count, decoded in enumerate(decode_prefixes(model, images)):
            values = collected.setdefault(count, {})
            rounded = to_pixels(decoded)
            if number < NUM_SHOWN:
                shown.setdefault(count, []).append(reduce_width(rounded[0]))
            for name, value in _measure(decoded, rounded, images, spaces).items():
                values.setdefault(name, []).append(value)
    return [
        PrefixMeasures(
            {name: np.concatenate(values[name]) for name in MEASURES},
            {
                space.name: np.concatenate(values[space.name])
                for space in spaces
                if space.of_whole_pictures
            },
            shown[count],
        )
        for count, values in collected.items()
    ]


def reduce_width(picture: Pixels) -> Pixels:
    """Reduce a picture to `SHOWN_PX` if it is wider."""
    height, width = picture.shape[:2]
    if width <= SHOWN_PX:
        return picture
    size = (SHOWN_PX, round(height * SHOWN_PX / width))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _measure(
    decoded: Tensor, rounded: Pixels, images: Tensor, spaces: Sequence[FeatureSpace]
) -> dict[str, Array]:
    if not decoded.isfinite().all():
        raise QualityGate("the autoencoder decodes to values that are not finite; train it again")
    values = (psnr(decoded, images, 2.0), *ssim_and_ms_ssim(decoded, images, 2.0))
    measures = {name: value.cpu().numpy() for name, value in zip(MEASURES, values, strict=True)}
    # Indices matter only for crops.
    batch = Batch(rounded, np.arange(len(rounded)), decoded.device)
    return measures | {
        space.name: space.extract(batch) for space in spaces if space.of_whole_pictures
    }
