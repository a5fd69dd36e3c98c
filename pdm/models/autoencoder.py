"""The pyramid autoencoder: images to a pyramid of latents, and back from any prefix of its levels.

All but the global level is convolutional, so any size works. With `tile_px`, large images are
encoded and decoded part by part, in a fraction of the memory and with the same result
(`pdm.models.autoencoder_parts.tiling`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from pdm import weights
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.records import from_record
from pdm.models.autoencoder_parts.decoder import Decoder, DecoderStage
from pdm.models.autoencoder_parts.encoder import Encoder
from pdm.models.autoencoder_parts.tiled_decoding import decode_in_tiles, decode_region
from pdm.models.autoencoder_parts.tiled_encoding import encode_in_tiles
from pdm.models.autoencoder_parts.tiling import check_norms, check_tiles
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.layers.attention import SpatialChannelAttention
from pdm.models.layers.blocks import PlainBlock, ToPixels
from pdm.models.levels.orthogonal import remove_coarse_content
from pdm.models.levels.posterior import LOG_VARIANCE_RANGE, LogVariances, kl_penalty
from pdm.models.levels.prediction import num_inputs, predict_level
from pdm.models.levels.pyramid import Pyramid
from pdm.models.regions import Region


class PyramidAutoencoder(Autoencoder):
    """A small encoder and a large decoder of a pyramid whose first level is global."""

    block_types = (PlainBlock, SpatialChannelAttention)

    def __init__(self, config: AutoencoderModelConfig) -> None:
        super().__init__(
            [level.channels for level in config.levels],
            [level.downsampling for level in config.levels],
        )
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        if config.residual_levels:
            self._register_predictions()

    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, LogVariances]:
        """See `Autoencoder.posterior`; a level without a KL weight is deterministic."""
        self.level_shapes(*images.shape[2:])
        if tile_px is None:
            outputs = self.encoder(images)
        else:
            check_tiles(self, tile_px)
            outputs = encode_in_tiles(self.encoder, images, tile_px)
        channels = self.level_channels
        means = self._own_content(
            tuple(output[:, :count] for output, count in zip(outputs, channels, strict=True))
        )
        log_variances = tuple(
            output[:, count:].clamp(*LOG_VARIANCE_RANGE) if level.kl_weight else None
            for output, count, level in zip(outputs, channels, self.config.levels, strict=True)
        )
        return means, log_variances

    def penalty(
        self, means: Pyramid, log_variances: LogVariances
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Autoencoder.penalty`: the KL divergence of each level that has a weight for it."""
        return kl_penalty(means, log_variances, [level.kl_weight for level in self.config.levels])

    @property
    def last_weight(self) -> Tensor:
        """See `Autoencoder.last_weight`: that of the finest stage, which adds the last detail."""
        stage = self.decoder.stages[-1]
        assert isinstance(stage, DecoderStage)
        assert isinstance(stage.to_rgb, ToPixels)  # the finest stage always has one
        return stage.to_rgb.conv.weight

    def decode_raw(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """Decode latents that are not standardised. Images are not clamped, so that gradients flow.

        With `orthogonal_levels`, what a coarser level could hold is removed from the finer ones
        here too, since noise and sampling put some back.

        Raises:
            ValueError: There is only the global level and no size, or the size does not fit.
        """
        height, width = self._coarsest_sides(pyramid, size)
        pyramid = self._own_content(pyramid)
        if tile_px is None:
            images: Tensor = self.decoder(pyramid, height, width)
            return images
        check_tiles(self, tile_px)
        return decode_in_tiles(self.decoder, pyramid, height, width, tile_px)

    def decode_region(self, pyramid: Pyramid, region: Region) -> Tensor:
        """See `Autoencoder.decode_region`; the network must use pixel norms."""
        check_norms(self)
        sides = self._coarsest_sides(pyramid, (region.map_height, region.map_width))
        return decode_region(self.decoder, self._own_content(pyramid), *sides, region)

    def subtract_predictions(self, pyramid: Pyramid) -> Pyramid:
        """See `Autoencoder.subtract_predictions`; done where `residual_levels` is set."""
        if not self.config.residual_levels:
            return pyramid
        return tuple(
            level - self._prediction(pyramid[:index], level) if index else level
            for index, level in enumerate(pyramid)
        )

    def add_predictions(self, residuals: Pyramid) -> Pyramid:
        """See `Autoencoder.add_predictions`."""
        if not self.config.residual_levels:
            return residuals
        pyramid = residuals[:1]
        for residual in residuals[1:]:
            pyramid = (*pyramid, residual + self._prediction(pyramid, residual))
        return pyramid

    def set_predictions(self, weights: Sequence[Tensor]) -> None:
        """Set the weights of `predict_level`, one for each level from the second on."""
        for index, weight in enumerate(weights, start=1):
            self.get_buffer(f"prediction_{index}").copy_(weight)

    def _register_predictions(self) -> None:
        channels = self.level_channels
        factors = [1, *(int(factor) for factor in self.level_downsamplings[1:])]
        for index in range(1, len(channels)):
            ratio = factors[index - 1] // factors[index] if index > 1 else 1
            weights = torch.zeros(num_inputs(channels[:index]), channels[index] * ratio**2)
            self.register_buffer(f"prediction_{index}", weights)

    def _prediction(self, coarser: Pyramid, level: Tensor) -> Tensor:
        weights = self.get_buffer(f"prediction_{len(coarser)}")
        height, width = level.shape[2:]
        return predict_level(coarser, weights, level.shape[1], (height, width))

    def _own_content(self, pyramid: Pyramid) -> Pyramid:
        return remove_coarse_content(pyramid) if self.config.orthogonal_levels else pyramid

    def _coarsest_sides(self, pyramid: Pyramid, size: tuple[int, int] | None) -> tuple[int, int]:
        """Return height and width of the coarsest map for an image of this size."""
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
        return height // factor, width // factor

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""
        record, tensors = weights.load(folder, cls.__name__)
        with weights.explain_misfit(folder):
            config = from_record(AutoencoderModelConfig, record["config"], "autoencoder.model")
            model = cls(config)
            model.load_state_dict(tensors)
        return model.eval()
