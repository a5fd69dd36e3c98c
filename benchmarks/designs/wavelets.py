"""A fixed first stage for comparing denoisers: wavelets of 8x8 blocks, the strongest of them kept.

In a comparison of denoising networks a trained first stage would decide before they do: in a short
training what it blurs outweighs all that they do wrong. Here both sides have the same one, linear
and orthonormal: of each 8x8 block its mean colour, and of its 189 finer wavelets the 13 directions
that vary most (their principal components), so 16 values of 192, as first stages of 16 channels at
an eighth keep. They pass through any trunk of more channels than that. LDM has them as one latent;
the pyramid takes the mean colours three steps further.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pdm.models.levels.pyramid import Downsampling, LevelShape, Pyramid, level_shapes

STEPS = 3  # down to an eighth: f8
COLOURS = 3
DETAILS = 3 * COLOURS  # of one step
ALL_FINE = sum(DETAILS * 4**step for step in range(STEPS))  # channels of details, at an eighth
FINE = 13  # directions of these that are kept


class Wavelets:
    """The interface of an autoencoder, for pictures of 64x64.

    Args:
        pyramid: Levels 1x1x12, 2x2x9, 4x4x9 and 8x8x13; or one latent of 8x8x16.

    Attributes:
        level_channels, level_downsamplings: As of `pdm.models.base_autoencoder.Autoencoder`.
    """

    def __init__(self, pyramid: bool) -> None:
        self.pyramid = pyramid
        one: tuple[tuple[int, ...], tuple[Downsampling, ...]] = ((COLOURS + FINE,), (8,))
        several: tuple[tuple[int, ...], tuple[Downsampling, ...]] = (
            (COLOURS + DETAILS, DETAILS, DETAILS, FINE),
            ("global", 32, 16, 8),
        )
        self.level_channels, self.level_downsamplings = several if pyramid else one
        self.means = [torch.zeros(count, 1, 1) for count in self.level_channels]
        self.stds = [torch.ones(count, 1, 1) for count in self.level_channels]
        self.directions = torch.eye(ALL_FINE)[:FINE]  # (13, 189), orthonormal

    def level_shapes(self, height: int, width: int) -> tuple[LevelShape, ...]:
        """Shape (C, h, w) of every level."""
        return level_shapes(self.level_channels, self.level_downsamplings, height, width)

    def measure(self, images: Tensor, *, by_channel: bool) -> None:
        """Choose directions of these images, and standardise by them: each channel, or all alike.

        All alike is LDM's way (appendix G): by one number, and nothing is subtracted.
        """
        self.directions = _strongest(_fine(_down(images, STEPS)[1]))
        levels = self._raw(images)
        if by_channel:
            self.means = [level.mean((0, 2, 3))[:, None, None] for level in levels]
            self.stds = [level.std((0, 2, 3))[:, None, None].clamp_min(1e-4) for level in levels]
        else:
            std = torch.cat([level.flatten() for level in levels]).std()
            self.means = [torch.zeros_like(mean) for mean in self.means]
            self.stds = [std.expand_as(mean) for mean in self.means]

    def encode(self, images: Tensor) -> Pyramid:
        """Standardised latents of (B, 3, 64, 64)."""
        levels = zip(self._raw(images), self.means, self.stds, strict=True)
        return tuple((level - mean) / std for level, mean, std in levels)

    def decode(self, latents: Pyramid) -> Tensor:
        """Images from standardised latents, clamped to [-1, 1]."""
        levels = zip(latents, self.means, self.stds, strict=True)
        *coarse, fine = (level * std + mean for level, mean, std in levels)
        if self.pyramid:
            base = _joined(coarse)
        else:
            base, fine = fine.split([COLOURS, FINE], dim=1)
        fine = torch.einsum("bkhw,kc->bchw", fine, self.directions)
        details = fine.split([DETAILS * 4**step for step in range(STEPS)], dim=1)
        maps = [F.pixel_shuffle(part, 2**step) for step, part in enumerate(details)]
        return _up(base, maps).clamp(-1, 1)

    def _raw(self, images: Tensor) -> Pyramid:
        base, maps = _down(images, STEPS)
        fine = torch.einsum("bchw,kc->bkhw", _fine(maps), self.directions)
        if not self.pyramid:
            return (torch.cat([base, fine], 1),)
        base, maps = _down(base, STEPS)
        return (torch.cat([base, maps[0]], 1), *maps[1:], fine)


def _fine(maps: Sequence[Tensor]) -> Tensor:
    """All details of each block, (B, 189, h, w)."""
    return torch.cat([F.pixel_unshuffle(part, 2**step) for step, part in enumerate(maps)], 1)


def _strongest(fine: Tensor) -> Tensor:
    """The directions of most variance, (13, 189)."""
    blocks = fine.transpose(0, 1).flatten(1).double()
    _, directions = torch.linalg.eigh(torch.cov(blocks))  # ascending
    strongest: Tensor = directions[:, -FINE:].flip(1).T
    return strongest.float().contiguous()


def _joined(coarse: Sequence[Tensor]) -> Tensor:
    base, first = coarse[0].split([COLOURS, DETAILS], dim=1)
    return _up(base, [first, *coarse[1:]])


def _down(images: Tensor, steps: int) -> tuple[Tensor, list[Tensor]]:
    """What remains after some steps, and the details of each, coarse to fine."""
    maps: list[Tensor] = []
    for _ in range(steps):
        a, b, c, d = (images[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1))
        maps.insert(0, torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], dim=1) / 2)
        images = (a + b + c + d) / 2
    return images, maps


def _up(base: Tensor, maps: Sequence[Tensor]) -> Tensor:
    for details in maps:
        x, y, xy = details.chunk(3, dim=1)
        corners = [base + x + y + xy, base - x + y - xy, base + x - y - xy, base - x - y + xy]
        base = F.pixel_shuffle(torch.stack(corners, dim=2).flatten(1, 2) / 2, 2)
    return base
