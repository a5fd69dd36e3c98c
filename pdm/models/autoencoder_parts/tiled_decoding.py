"""Decoding tile by tile, or of one region alone; see `pdm.models.autoencoder_parts.tiling`."""

from dataclasses import dataclass

from torch import Tensor, nn

from pdm.models.autoencoder_parts.decoder import Decoder, DecoderStage, upsample_bilinear
from pdm.models.autoencoder_parts.tiling import BLOCK_RADIUS, HEAD_RADIUS, WHOLE_FROM
from pdm.models.layers.basic import upsample_nearest
from pdm.models.layers.blocks import PlainBlock
from pdm.models.levels.pyramid import Pyramid
from pdm.models.regions import Region, tile_regions

DOUBLING_RADIUS = 1  # of bilinear interpolation, before it doubles
BRANCH_RADIUS = HEAD_RADIUS + BLOCK_RADIUS


def decode_in_tiles(
    decoder: Decoder, pyramid: Pyramid, height: int, width: int, tile_px: int
) -> Tensor:
    """Return what `decoder(pyramid, height, width)` gives, tile by tile.

    Args:
        decoder: In evaluation mode.
        pyramid: Any prefix of the levels.
        height, width: Of the coarsest map, in its cells.
        tile_px: Side of the regions in pixels of the image.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, width, num_whole)
    num_fine = len(decoder.stages) - num_whole
    if not num_fine:
        return images
    height, width = (side << num_fine for side in features.shape[2:])
    result = images.new_empty(len(images), images.shape[1], height, width)
    for region in tile_regions(height, width, tile_px):
        region.of(result).copy_(_decode(decoder, features, images, pyramid, region))
    return result


def decode_region(
    decoder: Decoder, pyramid: Pyramid, height: int, width: int, region: Region
) -> Tensor:
    """Decode one region of what `decoder(pyramid, height, width)` gives; gradients flow.

    The coarse stages run on the whole image, the fine ones on the region with a margin. So a
    network can be trained on parts of images too large to be decoded with gradients.

    Args:
        decoder: May be in training mode.
        pyramid: Any prefix of the levels.
        height, width: Of the coarsest map, in its cells.
        region: The part to decode, in pixels of the image.

    Returns:
        (B, 3, h, w), of the region's height and width in pixels.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, width, num_whole)
    if num_whole == len(decoder.stages):
        return region.of(images)
    return _decode(decoder, features, images, pyramid, region)


def _num_whole(decoder: Decoder) -> int:
    """Count the stages that run on the whole image: up to the last with attention or coarse."""
    count = max(1, len(decoder.stages) - (WHOLE_FROM.bit_length() - 1))
    for number, stage in enumerate(decoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            count = max(count, number + 1)
    return count


@dataclass(frozen=True, slots=True)
class _Step:
    """What one fine stage works on, as regions of the maps at its resolution.

    Args:
        inputs: Features that it reads: what the other two need, with the margin of its layers.
        image: The image with its part added.
        outputs: Features that the next finer stage reads, before they are doubled; None for the
            finest stage.
    """

    inputs: Region
    image: Region
    outputs: Region | None


def _plan(decoder: Decoder, region: Region) -> tuple[list[_Step], Region, Region]:
    """Plan a region of the image backwards, from what the finest stage must give.

    Returns:
        The steps of the fine stages, coarse to fine; and where the features and the image that the
        coarse stages give are needed.
    """
    image, outputs = region, None
    steps: list[_Step] = []
    for stage in reversed(list(decoder.stages)[_num_whole(decoder) :]):
        assert isinstance(stage, DecoderStage)
        needed = image.grow(HEAD_RADIUS)
        needed = needed if outputs is None else needed.union(outputs)
        inputs = needed.grow(_radius(stage))
        steps.append(_Step(inputs, image, outputs))
        outputs, image = inputs.halve(), image.halve().grow(DOUBLING_RADIUS)
    assert outputs is not None
    return steps[::-1], outputs, image


def _decode(
    decoder: Decoder, features: Tensor, images: Tensor, pyramid: Pyramid, region: Region
) -> Tensor:
    """Decode one region of the image by the fine stages.

    Args:
        features, images: What the coarse stages give, of the whole image.
    """
    steps, features_region, image_region = _plan(decoder, region)
    features, image = features_region.of(features), image_region.of(images)
    for number, step in enumerate(steps, start=_num_whole(decoder)):
        latent = decoder.latent_of(number, pyramid)
        features, share = decoder.stages[number](
            step.inputs.crop_within(upsample_nearest(features), features_region.double()),
            None if latent is None else step.inputs.of(latent),
        )
        image = step.image.crop_within(upsample_bilinear(image), image_region.double())
        image = image + step.image.crop_within(share, step.inputs)
        image_region = step.image
        if step.outputs is not None:
            features = step.outputs.crop_within(features, step.inputs)
            features_region = step.outputs
    return image


def _radius(stage: DecoderStage) -> int:
    """Pixels that a stage's branch and blocks reach beyond their own."""
    radius = BLOCK_RADIUS * sum(isinstance(module, PlainBlock) for module in stage.blocks)
    return radius + (BRANCH_RADIUS if stage.branch is not None else 0)
