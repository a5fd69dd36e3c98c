"""The pyramid autoencoder: images to a pyramid of latents and back, from any prefix of its levels.

Images are (B, 3, H, W) in [-1, 1]; H and W are multiples of the largest downsampling. `encode` and
`decode` speak standardised latents (mean 0 and standard deviation 1 per level and channel over the
training images), so nobody outside scales latents; `posterior` and `decode_raw` speak the network's
own and are for training. All but the global level is convolutional, so any size works. With
`tile_px`, large pictures are encoded and decoded part by part, in a fraction of the memory and with
the same result (`pdm.models.tiling`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pdm import weights
from pdm.config.autoencoder import AutoencoderModelConfig, LevelConfig
from pdm.models.decoder import Decoder
from pdm.models.encoder import Encoder
from pdm.models.pyramid import Downsampling, LevelShape, Pyramid, level_shapes
from pdm.models.tiling import check_tiles, decode_in_tiles, encode_in_tiles

# Limits of the log-variance, as in LDM (arXiv:2112.10752): beyond them its exponential is useless.
LOG_VARIANCE_RANGE = (-30.0, 20.0)


class PyramidAutoencoder(nn.Module):
    """Encoder, decoder, and the statistics that standardise the latents."""

    def __init__(self, config: AutoencoderModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        for index, level in enumerate(config.levels):
            self.register_buffer(f"mean_{index}", torch.zeros(level.channels))
            self.register_buffer(f"std_{index}", torch.ones(level.channels))

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of each level, coarse to fine."""
        return tuple(level.channels for level in self.config.levels)

    @property
    def level_downsamplings(self) -> tuple[Downsampling, ...]:
        """Downsampling of each level, coarse to fine; the first is "global"."""
        return tuple(level.downsampling for level in self.config.levels)

    def level_shapes(self, height: int, width: int) -> tuple[LevelShape, ...]:
        """Shape (C, h, w) of every level for images of this size in pixels."""
        return level_shapes(self.level_channels, self.level_downsamplings, height, width)

    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, Pyramid]:
        """Means and log-variances of the latents, not standardised. For `tile_px` see `encode`."""
        self.level_shapes(*images.shape[2:])
        if tile_px is None:
            outputs = self.encoder(images)
        else:
            check_tiles(self, tile_px)
            outputs = encode_in_tiles(self.encoder, images, tile_px)
        halves = [output.chunk(2, dim=1) for output in outputs]
        means = tuple(mean for mean, _ in halves)
        return means, tuple(log_variance.clamp(*LOG_VARIANCE_RANGE) for _, log_variance in halves)

    def encode(self, images: Tensor, tile_px: int | None = None) -> Pyramid:
        """Standardised means of the latents.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            tile_px: Side of the windows in which the fine stages work, a multiple of 64; None for
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
        return self.decode_raw(raw, size, tile_px).clamp(-1, 1)

    def decode_raw(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Images from latents that are not standardised. Not clamped, so that gradients flow.

        Raises:
            ValueError: Only the global level is given, and no size; or they disagree.
        """
        factor = 2 ** (len(self.config.decoder_widths) - 1)
        if size is None and len(pyramid) < 2:
            raise ValueError("the global level alone has no size; give size=(height, width)")
        height, width = size or tuple(side * factor for side in pyramid[1].shape[2:])
        expected = self.level_shapes(height, width)[: len(pyramid)]
        found = tuple(tuple(level.shape[1:]) for level in pyramid)
        if found != expected:
            raise ValueError(
                f"levels of shape {found} do not decode to {height} x {width} pixels, "
                f"which need {expected}"
            )
        height, width = height // factor, width // factor
        if tile_px is None:
            images: Tensor = self.decoder(pyramid, height, width)
            return images
        check_tiles(self, tile_px)
        return decode_in_tiles(self.decoder, pyramid, height, width, tile_px)

    def set_statistics(self, means: Sequence[Tensor], stds: Sequence[Tensor]) -> None:
        """Set what `encode` subtracts and divides by: one tensor (C,) for each level."""
        for index, (mean, std) in enumerate(zip(means, stds, strict=True)):
            self.get_buffer(f"mean_{index}").copy_(mean)
            self.get_buffer(f"std_{index}").copy_(std)

    def save_pretrained(self, folder: Path, **facts: Any) -> None:
        """Write `config.json`, with the facts, and `model.safetensors`."""
        weights.save(folder, type(self).__name__, self.config, self.state_dict(), **facts)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""
        record, tensors = weights.load(folder, cls.__name__)
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record["config"].items()
        }
        settings["levels"] = tuple(LevelConfig(**level) for level in settings["levels"])
        model = cls(AutoencoderModelConfig(**settings))
        model.load_state_dict(tensors)
        return model.eval()

    def _mean(self, index: int) -> Tensor:
        return self.get_buffer(f"mean_{index}")[:, None, None]

    def _std(self, index: int) -> Tensor:
        return self.get_buffer(f"std_{index}")[:, None, None]
