"""Features of a small, untrained convolutional network: `random_conv`.

No weights are downloaded: all follow from one seed. Untrained filters cannot tell a dog from a cat.
But their statistics over a picture reflect colours, contrast, texture and edges at four scales,
which distinguishes blurred, noisy or washed-out samples from pictures. Distances on these features
are not FID and are never called FID. They are comparable only with the same seed, number of
features and picture size.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "random_conv"
NUM_SCALES = 4
MIN_CHANNELS = 32
CALIBRATION_PICTURES = 256
CALIBRATION_SIDE_PX = 32
GROUP_PIXELS = 2**15  # pixels of small pictures filtered at once
STRIP_PIXELS = 2**17  # pixels of a picture filtered at once; 32 channels of them take 17 MB

# Directions that vary less than this part of the most varying one are not scaled up further. Tried
# on photographs: nearer to 0, noise drowns what blur changes; nearer to 1, brightness drowns all.
WHITENING_FLOOR = 0.2


class RandomConvFeatures(nn.Module):
    """Maps pictures to vectors. A picture's vector does not depend on its batch, bit for bit.

    Four convolutions, each at half the size of the one before. Pooled are each channel's mean and
    the logarithm of its standard deviation (blur halves the fine detail of dark and of bright
    pictures alike), and the picture's mean colour. They are standardised, rotated and scaled by
    how they vary over artificial pictures (see `calibration_pictures`).

    Args:
        num_features: Length of the vectors.
        seed: Seed of the filters and the calibration.
    """

    means: Tensor
    deviations: Tensor
    directions: Tensor

    def __init__(self, num_features: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = max(MIN_CHANNELS, math.ceil(num_features / (2 * NUM_SCALES)))
        widths = [3] + [channels] * NUM_SCALES
        for scale, (before, after) in enumerate(itertools.pairwise(widths)):
            self.register_buffer(f"filters_{scale}", _band_pass_filters(before, after, generator))
        at_once = GROUP_PIXELS // CALIBRATION_SIDE_PX**2
        parts = torch.split(calibration_pictures(generator), at_once)
        pooled = torch.cat([self._pooled(part) for part in parts])
        self.register_buffer("means", pooled.mean(0))
        self.register_buffer("deviations", pooled.std(0).clamp_min(1e-6))
        standardised = (pooled - self.means) / self.deviations
        self.register_buffer("directions", _whitening(standardised, num_features))

    @property
    def device(self) -> torch.device:
        """Where the filters are."""
        return self.means.device

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Compute features of `images` (B, 3, H, W) in [-1, 1]: float64 (B, num_features), on the
        CPU whatever the device of the filters.

        The same bits whatever the batch. Memory beyond the batch is that of the filtered picture at
        half the size, 32 bytes a pixel of one picture, whatever the batch.
        """
        # Convolutions and products of another shape may sum in another order. So small pictures go
        # through in groups of one size, the last filled up, and vectors are rotated one by one.
        images = images.to(self.device)
        group = max(1, GROUP_PIXELS // (images.shape[2] * images.shape[3]))
        pooled = torch.cat([self._pooled_group(part, group) for part in torch.split(images, group)])
        standardised = (pooled - self.means) / self.deviations
        return torch.stack([vector @ self.directions for vector in standardised]).cpu()

    def _pooled_group(self, images: Tensor, size: int) -> Tensor:
        missing = images.new_zeros(size - len(images), *images.shape[1:])
        return self._pooled(torch.cat([images, missing]))[: len(images)]

    def _pooled(self, images: Tensor) -> Tensor:
        pooled = [images.flatten(2).mean(2)]
        h = images
        for scale in range(NUM_SCALES):
            means, deviations, h = _filtered(h, self.get_buffer(f"filters_{scale}"))
            pooled += [means, (deviations + 0.01).log()]
        return torch.cat(pooled, dim=1).double()


def _filtered(images: Tensor, filters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation of each channel of the filtered `images`, both (B, C), and the filtered
    images at half the size.

    A strip at a time, since all channels at the full size are far larger than the pictures.
    """
    batch, _, height, width = images.shape
    rows = max(2, STRIP_PIXELS // (batch * width) // 2 * 2)  # even, as halving takes pairs of them
    counts, means, deviations, halves = [], [], [], []
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = images[:, :, max(top - 1, 0) : bottom + 1]
        padding = (1, 1, int(top == 0), int(bottom == height))
        h = F.conv2d(F.pad(strip, padding, mode="replicate"), filters)
        h = F.leaky_relu_(h, 0.2).mul_(math.sqrt(2))
        deviation, mean = torch.std_mean(h.flatten(2), dim=2, correction=0)
        counts.append((bottom - top) * width)
        means.append(mean)
        deviations.append(deviation)
        halves.append(F.avg_pool2d(h, 2, ceil_mode=True))
    mean, deviation = _merged(counts, torch.stack(means), torch.stack(deviations))
    return mean, deviation, torch.cat(halves, dim=2)


def _merged(counts: list[int], means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of parts together, of those of each part, (parts, B, C)."""
    weights = torch.tensor(counts, dtype=torch.float64, device=means.device)[:, None, None]
    mean = (weights * means.double()).sum(0) / weights.sum()
    squares = deviations.double().square() + (means.double() - mean).square()
    variance = (weights * squares).sum(0) / weights.sum()
    return mean.float(), variance.sqrt().float()


def calibration_pictures(generator: torch.Generator) -> Tensor:
    """Noise with the falling spectrum of photographs, (N, 3, h, w) in [-1, 1].

    Colour, contrast and the spectrum's slope differ from picture to picture. They give every pooled
    value a typical mean and spread without looking at any data, so that the features stay the same
    whatever they are used on.
    """
    side, count = CALIBRATION_SIDE_PX, CALIBRATION_PICTURES
    frequency_y = torch.fft.fftfreq(side)[:, None]
    frequency_x = torch.fft.rfftfreq(side)[None, :]
    radius = torch.hypot(frequency_y, frequency_x).clamp_min(1 / side)
    slope = 0.5 + 1.5 * torch.rand(count, 1, 1, 1, generator=generator)
    white = torch.randn(count, 3, side, side, generator=generator)
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * radius**-slope, s=(side, side))
    noise = noise / noise.std((1, 2, 3), keepdim=True)
    contrast = 0.05 + 0.45 * torch.rand(count, 1, 1, 1, generator=generator)
    colour = 1.2 * torch.rand(count, 3, 1, 1, generator=generator) - 0.6
    pictures: Tensor = colour + contrast * noise
    return pictures.clamp(-1, 1)


def _band_pass_filters(before: int, after: int, generator: torch.Generator) -> Tensor:
    """Random filters (after, before, 3, 3) of unit norm whose taps sum to zero: flat areas give
    nothing, so that colour and brightness do not drown texture."""
    filters = torch.empty(after, before, 3, 3)
    nn.init.orthogonal_(filters, generator=generator)
    filters -= filters.mean((2, 3), keepdim=True)
    filters /= filters.flatten(1).norm(dim=1)[:, None, None, None]
    return filters


def _whitening(standardised: Tensor, num_features: int) -> Tensor:
    """Directions of largest variance, each divided by its deviation, (D, num_features)."""
    covariance = standardised.T @ standardised / len(standardised)
    values, vectors = torch.linalg.eigh(covariance)
    deviations = values.clamp_min(0).sqrt()
    scaled: Tensor = vectors / deviations.clamp_min(WHITENING_FLOOR * deviations[-1])
    return scaled.flip(1)[:, :num_features]
