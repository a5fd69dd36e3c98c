"""The interface of every autoencoder of the project.

Images are (B, 3, H, W) in [-1, 1]; H and W are multiples of the largest downsampling. Latents are a
pyramid, with a single level where the design has only one. `encode` and `decode` use standardised
latents (mean 0 and standard deviation 1 per level and channel over the training images), so no
caller scales latents; `posterior` and `decode_raw` use the network's own and are for training.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from pdm import weights
from pdm.models.layers.basic import without_autocast
from pdm.models.levels.posterior import LogVariances
from pdm.models.levels.pyramid import Downsampling, LevelShape, Pyramid, level_shapes
from pdm.models.regions import Region


class Autoencoder(nn.Module):
    """Base class: the levels, and the statistics that standardise their latents.

    Args:
        channels: Channels of each level, coarse to fine.
        downsamplings: Image side over latent side of each level, or "global".
    """

    config: Any  # a dataclass with everything that the design's constructor takes
    # What activation checkpointing recomputes and FSDP shards as one; no block within another.
    block_types: ClassVar[tuple[type[nn.Module], ...]]
    # Whether `decode_beside` reads the image that was enlarged.
    reads_enlarged: ClassVar[bool] = False
    # In training, blocks get maps of many sizes: of crops, prefixes of levels, reduced latents.
    sizes_vary: ClassVar[bool] = True

    def __init__(self, channels: Sequence[int], downsamplings: Sequence[Downsampling]) -> None:
        super().__init__()
        self.level_channels = tuple(channels)
        self.level_downsamplings = tuple(downsamplings)
        for index, count in enumerate(channels):
            self.register_buffer(f"mean_{index}", torch.zeros(count))
            self.register_buffer(f"std_{index}", torch.ones(count))

    def level_shapes(self, height: int, width: int) -> tuple[LevelShape, ...]:
        """Return the shape (C, h, w) of every level for images of this size in pixels."""
        return level_shapes(self.level_channels, self.level_downsamplings, height, width)

    @abstractmethod
    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, LogVariances]:
        """Return means and log-variances of the latents, not standardised.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            tile_px: As for `encode`.

        Returns:
            Both coarse to fine, each level (B, C, h, w). The log-variance of a deterministic level
            is None: its mean is the latent.
        """

    @abstractmethod
    def penalty(
        self, means: Pyramid, log_variances: LogVariances
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the regularisation loss of latents from `posterior`: a KL, a codebook loss.

        Returns:
            The weighted sum that is added to the loss, and its terms by name, for the log.
        """

    @abstractmethod
    def decode_raw(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Decode latents that are not standardised. Images are not clamped, so that gradients flow.

        Raises:
            ValueError: The levels' shapes do not fit each other or the size.
        """

    def decode_region(self, pyramid: Pyramid, region: Region) -> Tensor:
        """Decode one part of the image, (B, 3, h, w), at the cost of that part alone.

        The result is that part of what `decode_raw` gives.

        Args:
            pyramid: As for `decode_raw`.
            region: The part, and the size of the whole image.

        Raises:
            ValueError: As for `decode_raw`; or the design decodes whole images only.
        """
        raise ValueError(
            f"a {type(self).__name__} decodes whole images only, not {region}; leave crop_px out"
        )

    @property
    @abstractmethod
    def last_weight(self) -> Tensor:
        """Weight of the layer that outputs pixels, for the adaptive discriminator weight."""

    def encode(self, images: Tensor, tile_px: int | None = None) -> Pyramid:
        """Encode images to the standardised means of their latents.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            tile_px: Side of the tiles that the fine stages process one by one, a multiple of 64;
                None to encode the whole image at once.

        Raises:
            ValueError: A side is not a multiple of the largest downsampling, `tile_px` is not a
                multiple of 64, or the network cannot work in tiles.
        """
        return self.standardise(self.posterior(images, tile_px)[0])

    def standardise(self, means: Pyramid) -> Pyramid:
        """Standardise means from `posterior`, as `encode` does."""
        residuals = self.subtract_predictions(means)
        return tuple(
            (level - self._mean(index)) / self._std(index) for index, level in enumerate(residuals)
        )

    def decode(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Decode standardised latents of all levels, or the coarsest, to images in [-1, 1].

        Args:
            pyramid: Any prefix of the levels.
            size: (H, W) of the image in pixels; needed when only the global level is given.
            tile_px: As for `encode`.

        Raises:
            ValueError: As for `decode_raw`; or `tile_px` is not a multiple of 64, or the network
                cannot work in tiles.
        """
        residuals = tuple(
            level * self._std(index) + self._mean(index) for index, level in enumerate(pyramid)
        )
        with without_autocast(residuals[0].device):
            raw = self.add_predictions(residuals)
        return self.decode_raw(raw, size, tile_px).clamp_(-1, 1)

    def decode_beside(self, pyramid: Pyramid, enlarged: Tensor) -> Tensor:
        """Decode the latents of an enlargement beside the image that was enlarged.

        Args:
            pyramid: As for `decode`.
            enlarged: (B, 3, H, W) in [-1, 1], at the size of the result. Most designs need only
                the latents; see `reads_enlarged`.

        Returns:
            Images (B, 3, H, W) in [-1, 1].
        """
        return self.decode(pyramid, (enlarged.shape[2], enlarged.shape[3]))

    def subtract_predictions(self, pyramid: Pyramid) -> Pyramid:
        """Subtract what the coarser levels predict from latents of `posterior`; here nothing."""
        return pyramid

    def add_predictions(self, residuals: Pyramid) -> Pyramid:
        """Undo `subtract_predictions`, for any prefix of the levels."""
        return residuals

    def set_statistics(self, means: Sequence[Tensor], stds: Sequence[Tensor]) -> None:
        """Set the mean and standard deviation that `encode` uses: one (C,) for each level.

        They are those of the latents after `subtract_predictions`.
        """
        for index, (mean, std) in enumerate(zip(means, stds, strict=True)):
            self.get_buffer(f"mean_{index}").copy_(mean)
            self.get_buffer(f"std_{index}").copy_(std)

    def save_pretrained(self, folder: Path, **facts: Any) -> None:
        """Write `config.json`, with the facts, and `model.safetensors`; see `pdm.weights.save`."""
        weights.save(folder, type(self).__name__, self.config, self.state_dict(), **facts)

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""

    def _mean(self, index: int) -> Tensor:
        return self.get_buffer(f"mean_{index}")[:, None, None]

    def _std(self, index: int) -> Tensor:
        return self.get_buffer(f"std_{index}")[:, None, None]
