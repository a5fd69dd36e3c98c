"""Decodes drawn latents to images, for all that draw: in the precision and the tiles of `sample`.

A champion and the commands that draw promise the images of the stage, so all decode here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.data.image_tensors import to_pixels
from pdm.data.pixels import Pixels
from pdm.errors import QualityGate
from pdm.inference.precision import decoding_precision
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid


def decode_to_pixels(
    autoencoder: Autoencoder, latents: Pyramid, size: tuple[int, int], config: SampleConfig
) -> Pixels:
    """Decode latents to uint8 (B, H, W, 3); see `decode_to_images`."""
    return to_pixels(decode_to_images(autoencoder, latents, size, config))


@torch.no_grad()
def decode_to_images(
    autoencoder: Autoencoder,
    latents: Pyramid,
    size: tuple[int, int],
    config: SampleConfig,
    beside: Tensor | None = None,
) -> Tensor:
    """Decode latents to float32 images (B, 3, H, W) in [-1, 1].

    Args:
        autoencoder: On the device of the latents.
        latents: Standardised; all levels, or the coarsest.
        size: (H, W) of the images in pixels.
        config: Section `sample` of the params: `precision` and `tile_px`.
        beside: Of an enlargement, where the autoencoder `reads_enlarged`: the enlarged images,
            (B, 3, H, W) in [-1, 1].

    Raises:
        QualityGate: An image is not finite. As bytes it would be a black image.
    """
    with decoding_precision(autoencoder, config, latents[0].device):
        if beside is not None:
            images = autoencoder.decode_beside(latents, beside)
        else:
            images = autoencoder.decode(latents, size, tile_px_for(size, config))
    if not images.isfinite().all():
        raise QualityGate(
            f"a drawn image is not finite (in {config.precision}): the training of a model has "
            "diverged, or the guidance scale is too high; draw with an earlier checkpoint "
            "(`pyramid export`), with less guidance, or in float32"
        )
    return images.float()


def tile_px_for(size: Sequence[int], config: SampleConfig) -> int | None:
    """Return the side of the exact tiles that images of (H, W) are encoded and decoded in.

    None for a whole image at once (`sample.tile_px`).
    """
    return config.tile_px if config.tile_px and max(size) > config.tile_px else None
