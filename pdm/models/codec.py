"""What all the project asks of an autoencoder, of whatever design.

Images are (B, 3, H, W) in [-1, 1]; H and W are multiples of the largest downsampling. Latents are a
pyramid, of one level where the design knows one only. `encode` and `decode` speak standardised
latents (mean 0 and standard deviation 1 per level and channel over the training images), so nobody
outside scales latents; `posterior` and `decode_raw` speak the network's own and are for training.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from pdm import weights
from pdm.models.posterior import LogVariances
from pdm.models.pyramid import Downsampling, LevelShape, Pyramid, level_shapes
from pdm.models.regions import Region


class Autoencoder(nn.Module):
    """Levels, and the statistics that standardise their latents.

    Args:
        channels: Of each level, coarse to fine.
        downsamplings: Image side over latent side of each level, or "global".
    """

    config: Any  # a dataclass of all that the constructor of the design takes
    # What activation checkpointing recomputes and FSDP shards as one; no block within another.
    block_types: ClassVar[tuple[type[nn.Module], ...]]

    def __init__(self, channels: Sequence[int], downsamplings: Sequence[Downsampling]) -> None:
        super().__init__()
        self.level_channels = tuple(channels)
        self.level_downsamplings = tuple(downsamplings)
        for index, count in enumerate(channels):
            self.register_buffer(f"mean_{index}", torch.zeros(count))
            self.register_buffer(f"std_{index}", torch.ones(count))

    def level_shapes(self, height: int, width: int) -> tuple[LevelShape, ...]:
        """Shape (C, h, w) of every level for images of this size in pixels."""
        return level_shapes(self.level_channels, self.level_downsamplings, height, width)

    @abstractmethod
    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, LogVariances]:
        """Means and log-variances of the latents, not standardised. For `tile_px` see `encode`.

        The log-variance of a deterministic level is None: its mean is the latent.
        """

    @abstractmethod
    def penalty(
        self, means: Pyramid, log_variances: LogVariances
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What training pays for latents as `posterior` gave them: a KL, a codebook loss.

        Returns:
            What is added to the loss, weighted; and its terms by name, for the log.
        """

    @abstractmethod
    def decode_raw(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Images from latents that are not standardised. Not clamped, so that gradients flow.

        Raises:
            ValueError: The levels' shapes do not fit each other or the size.
        """

    def decode_region(self, pyramid: Pyramid, region: Region) -> Tensor:
        """A part of what `decode_raw` gives, (B, 3, h, w), at the cost of that part alone.

        Args:
            pyramid: As for `decode_raw`.
            region: Of the picture, whose size it knows.

        Raises:
            ValueError: As `decode_raw`; or the design decodes whole pictures only.
        """
        raise ValueError(
            f"a {type(self).__name__} decodes whole pictures only, not {region}; leave crop_px out"
        )

    @property
    @abstractmethod
    def last_weight(self) -> Tensor:
        """Weight of the layer that ends in pixels: where losses of the reconstruction compare."""

    def encode(self, images: Tensor, tile_px: int | None = None) -> Pyramid:
        """Standardised means of the latents.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            tile_px: Side of the regions in which the fine stages work, a multiple of 64; None for
                the whole picture at once.

        Raises:
            ValueError: A side is no multiple of the largest downsampling; or the network, or
                `tile_px`, does not suit tiles.
        """
        means, _ = self.posterior(images, tile_px)
        return tuple(
            (level - self._mean(index)) / self._std(index) for index, level in enumerate(means)
        )

    def decode(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Images in [-1, 1] from standardised latents, of all levels or the coarsest ones.

        Args:
            pyramid: Any prefix of the levels.
            size: (H, W) of the image in pixels; needed when only the global level is given.
            tile_px: As for `encode`.

        Raises:
            ValueError: As `decode_raw`; or the network, or `tile_px`, does not suit tiles.
        """
        raw = tuple(
            level * self._std(index) + self._mean(index) for index, level in enumerate(pyramid)
        )
        return self.decode_raw(raw, size, tile_px).clamp_(-1, 1)

    def set_statistics(self, means: Sequence[Tensor], stds: Sequence[Tensor]) -> None:
        """Set what `encode` subtracts and divides by: one tensor (C,) for each level."""
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
