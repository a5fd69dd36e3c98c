"""PSNR and SSIM of pictures that went through the autoencoder, for every prefix of its levels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pdm.errors import BadInput, QualityGate
from pdm.evaluation.moments import Array
from pdm.evaluation.pictures import PictureSet, to_tensor
from pdm.models.codec import Autoencoder

WINDOW_PX = 11
SIGMA_PX = 1.5
MAX_PSNR_DB = 100.0  # of equal pictures, which have no finite one

Measure = Callable[[Tensor, Tensor, float], Tensor]  # images, references, data range


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
    if min(images.shape[-2:]) < WINDOW_PX:
        raise ValueError(f"SSIM needs sides of at least {WINDOW_PX} px; got {images.shape}")
    x, y = images.double(), references.double()
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x = _windowed(x * x) - mean_x**2
    variance_y = _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(1)


MEASURES: dict[str, Measure] = {"psnr_db": psnr, "ssim": ssim}


def _windowed(images: Tensor) -> Tensor:
    """Gaussian mean about each place where the window fits."""
    offsets = torch.arange(WINDOW_PX, dtype=images.dtype) - WINDOW_PX // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA_PX**2))
    taps = taps / taps.sum()
    channels = images.shape[1]
    rows = F.conv2d(images, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


@torch.no_grad()
def reconstructions(model: Autoencoder, images: Tensor) -> list[Tensor]:
    """`images` (B, 3, H, W) decoded from the first level, the first two, ..., all; in [-1, 1]."""
    latents = model.encode(images)
    size = (images.shape[-2], images.shape[-1])
    return [
        model.decode(latents[:count], size).clamp(-1, 1) for count in range(1, len(latents) + 1)
    ]


def score_reconstructions(
    model: Autoencoder, pictures: PictureSet, batch_size: int
) -> list[dict[str, Array]]:
    """`psnr_db` and `ssim` of each picture, one entry for each prefix of the levels.

    Raises:
        BadInput: The pictures are too small for the SSIM window.
        QualityGate: The autoencoder gives values that are not finite.
    """
    found: list[dict[str, list[Tensor]]] = []
    for batch in pictures.batches(batch_size):
        images = to_tensor(batch)
        if min(images.shape[-2:]) < WINDOW_PX:
            raise BadInput(
                f"pictures of {images.shape[-1]}x{images.shape[-2]} are too small to be scored; "
                f"SSIM needs {WINDOW_PX} px a side"
            )
        decoded = reconstructions(model, images)
        found = found or [{name: [] for name in MEASURES} for _ in decoded]
        for values, images_again in zip(found, decoded, strict=True):
            if not images_again.isfinite().all():
                raise QualityGate(
                    "the autoencoder decodes to values that are not finite; train it again"
                )
            for name, measure in MEASURES.items():
                values[name].append(measure(images_again, images, 2.0))
    return [{name: torch.cat(parts).numpy() for name, parts in values.items()} for values in found]
