"""Features of pictures from a small convolution network that was never trained: `random_conv`.

No weights are downloaded: all of them follow from one seed. Untrained filters cannot tell a dog
from a cat, but their statistics over a picture follow its colours, contrast, texture and edges at
four scales, which is what tells blurred, noisy or washed-out samples from pictures. Distances on
these features are no FID and are never called so; they compare only with distances on the same
seed, number of features and picture size.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NAME = "random_conv"
NUM_SCALES = 4
MIN_CHANNELS = 32
CALIBRATION_PICTURES = 128


class RandomConvFeatures(nn.Module):
    """Maps pictures to vectors. A picture's vector depends on no other picture in the batch.

    Four convolutions, each at half the size of the one before; the mean and the standard deviation
    of every channel are standardised by what they are on artificial pictures (see
    `calibration_pictures`) and projected on `num_features` orthonormal directions.

    Args:
        num_features: Length of the vectors.
        seed: Of the filters, the calibration and the directions.
    """

    means: Tensor
    deviations: Tensor
    directions: Tensor

    def __init__(self, num_features: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        channels = max(MIN_CHANNELS, math.ceil(num_features / (2 * NUM_SCALES)))
        widths = [3] + [channels] * NUM_SCALES
        self.convolutions = nn.ModuleList(
            _orthogonal_convolution(before, after, generator)
            for before, after in itertools.pairwise(widths)
        )
        num_pooled = 2 * NUM_SCALES * channels
        directions = torch.empty(num_features, num_pooled, dtype=torch.float64)
        nn.init.orthogonal_(directions, generator=generator)
        pooled = self._pooled(calibration_pictures(generator))
        self.register_buffer("means", pooled.mean(0))
        self.register_buffer("deviations", pooled.std(0).clamp_min(1e-6))
        self.register_buffer("directions", directions)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of `images` (B, 3, H, W) in [-1, 1]: float64 (B, num_features)."""
        standardised = (self._pooled(images) - self.means) / self.deviations
        return standardised @ self.directions.T

    def _pooled(self, images: Tensor) -> Tensor:
        pooled = []
        h = images
        for scale, convolution in enumerate(self.convolutions):
            if scale:
                h = F.avg_pool2d(h, 2, ceil_mode=True)
            h = math.sqrt(2) * F.leaky_relu(convolution(h), 0.2)
            # Summed in float64: the order of the sum may follow the batch size, the result may not.
            pixels = h.flatten(2).double()
            pooled += [pixels.mean(2), pixels.std(2, correction=0)]
        return torch.cat(pooled, dim=1)


def calibration_pictures(generator: torch.Generator) -> Tensor:
    """Noise with the falling spectrum of photographs, (N, 3, 64, 64) in [-1, 1].

    Colour, contrast and the spectrum's slope differ from picture to picture. They give every pooled
    value a typical mean and spread without looking at any data, so that the features stay the same
    whatever they are used on.
    """
    side, count = 64, CALIBRATION_PICTURES
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


def _orthogonal_convolution(before: int, after: int, generator: torch.Generator) -> nn.Conv2d:
    convolution = nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate")
    nn.init.orthogonal_(convolution.weight, generator=generator)
    nn.init.uniform_(convolution.bias, -0.1, 0.1, generator=generator)  # type: ignore[arg-type]
    return convolution
