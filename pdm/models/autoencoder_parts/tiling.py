"""Tiled encoding and decoding of large pictures, with the same result as for the whole picture.

The coarse stages run on the whole picture: their maps are small, and attention needs all of them.
The fine stages, which take nearly all memory, run on one region after the other. Each region has a
margin so wide that no value inside depends on where it was cut; the margin shrinks stage by stage
to what the next ones still need. At the picture's edges a region ends as the picture does. So
nothing is blended, there are no seams, and only the rounding of floats differs.

The network must use pixel norms (`norm: pixel`), not group norms, which take their statistics from
the whole map.
"""

from torch import Tensor, nn

from pdm.models.autoencoder_parts.decoder import Decoder, DecoderStage, upsample_bilinear
from pdm.models.autoencoder_parts.encoder import Encoder, EncoderStage
from pdm.models.layers.basic import average_pool, upsample_nearest
from pdm.models.layers.blocks import PlainBlock
from pdm.models.levels.pyramid import Pyramid
from pdm.models.regions import Region, Span, tile_regions

WHOLE_FROM = 16  # least downsampling of a whole map: at most a 256th of the pixels
HEAD_RADIUS = 1  # pixels that a 3x3 convolution reaches beyond its own
DOUBLING_RADIUS = 1  # of bilinear interpolation, before it doubles
BLOCK_RADIUS = 2
BRANCH_RADIUS = HEAD_RADIUS + BLOCK_RADIUS


def check_tiles(model: nn.Module, tile_px: int) -> None:
    """Check that the network can work in tiles of this size.

    Raises:
        ValueError: It has group norms, or `tile_px` is not a positive multiple of 64.
    """
    if tile_px < 1 or tile_px % 64:
        raise ValueError(f"tile_px is {tile_px}; give a positive multiple of 64")
    check_norms(model)


def check_norms(model: nn.Module) -> None:
    """Check that the network does the same to a part of a picture as to the whole.

    Raises:
        ValueError: It has group norms, which depend on the whole map.
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        raise ValueError(
            "this network normalises whole maps (autoencoder.model.norm: group), so it cannot work "
            "part by part; leave tile_px and crop_px out, or train one with norm: pixel"
        )


def decode_in_tiles(
    decoder: Decoder, pyramid: Pyramid, height: int, width: int, tile_px: int
) -> Tensor:
    """Return what `decoder(pyramid, height, width)` gives, tile by tile.

    Args:
        decoder: In evaluation mode.
        pyramid: Any prefix of the levels.
        height: Of the coarsest map; `width` likewise.
        tile_px: Side of the regions in pixels of the picture.
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

    The coarse stages run on the whole picture, the fine ones on the region with a margin. So a
    network can be trained on parts of pictures too large to be decoded with gradients.

    Args:
        decoder: May be in training mode.
        pyramid: Any prefix of the levels.
        height: Of the coarsest map, in its cells; `width` likewise.
        region: The part to decode, in pixels of the picture.

    Returns:
        (B, 3, h, w), of the region's height and width in pixels.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, width, num_whole)
    if num_whole == len(decoder.stages):
        return region.of(images)
    return _decode(decoder, features, images, pyramid, region)


def _num_whole(decoder: Decoder) -> int:
    """Count the stages that run on the whole picture: up to the last with attention or coarse."""
    count = max(1, len(decoder.stages) - (WHOLE_FROM.bit_length() - 1))
    for number, stage in enumerate(decoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            count = max(count, number + 1)
    return count


def _decode(
    decoder: Decoder, features: Tensor, images: Tensor, pyramid: Pyramid, region: Region
) -> Tensor:
    """Decode one region of the picture by the fine stages.

    Args:
        features, images: What the coarse stages give, of the whole picture.
    """
    num_whole = _num_whole(decoder)
    image_region = region  # of the image at each resolution, from the finest to the coarsest
    out_region: Region | None = None  # of the features that the next finer stage needs
    plan: list[tuple[Region, Region, Region | None]] = []
    for stage in reversed(list(decoder.stages)[num_whole:]):
        assert isinstance(stage, DecoderStage)
        inner = image_region.grow(HEAD_RADIUS)
        inner = inner if out_region is None else _union(inner, out_region)
        in_region = inner.grow(_radius(stage))
        plan.append((in_region, image_region, out_region))
        out_region = in_region.halve()
        image_region = image_region.halve().grow(DOUBLING_RADIUS)
    assert out_region is not None
    part, image = out_region.of(features), image_region.of(images)
    part_region, known_region = out_region, image_region  # where `part` and `image` lie
    for number, (in_region, image_region, out_region) in enumerate(reversed(plan), start=num_whole):
        latent = decoder.latent_of(number, pyramid)
        part, share = decoder.stages[number](
            in_region.crop_within(upsample_nearest(part), part_region.double()),
            None if latent is None else in_region.of(latent),
        )
        image = image_region.crop_within(upsample_bilinear(image), known_region.double())
        image = image + image_region.crop_within(share, in_region)
        if out_region is not None:
            part, part_region = out_region.crop_within(part, in_region), out_region
        known_region = image_region
    return image


def _radius(stage: DecoderStage) -> int:
    radius = BLOCK_RADIUS * sum(isinstance(module, PlainBlock) for module in stage.blocks)
    return radius + (BRANCH_RADIUS if stage.branch is not None else 0)


def _union(one: Region, other: Region) -> Region:
    rows, columns = (
        Span(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in ((one.rows, other.rows), (one.columns, other.columns))
    )
    return Region(rows, columns, one.map_height, one.map_width)


def encode_in_tiles(encoder: Encoder, images: Tensor, tile_px: int) -> tuple[Tensor, ...]:
    """Return what `encoder(images)` gives, tile by tile.

    Args:
        encoder: In evaluation mode.
        images: (B, 3, H, W).
        tile_px: Side of the regions in pixels.
    """
    num_fine = _num_fine(encoder)
    if not num_fine:
        return tuple(encoder(images))
    pictures = [images]
    for _ in range(num_fine):
        pictures.append(average_pool(pictures[-1]))
    height, width = pictures[-1].shape[2:]
    first: Tensor | None = None
    fine: dict[int, Tensor] = {}
    for region in tile_regions(height, width, tile_px >> num_fine):
        part, levels = _encode(encoder, pictures, region)
        if first is None:
            first = part.new_empty(len(part), part.shape[1], height, width)
        region.of(first).copy_(part)
        for index, (level_region, level) in levels.items():
            if index not in fine:
                size = level_region.map_height, level_region.map_width
                fine[index] = level.new_empty(*level.shape[:2], *size)
            level_region.of(fine[index]).copy_(level)
    assert first is not None
    coarse = encoder.coarse(first, pictures[-1], num_fine)
    return (*coarse, *(fine[index] for index in sorted(fine, reverse=True)))


def _num_fine(encoder: Encoder) -> int:
    """Count the stages that run on regions: up to the first with attention or coarse."""
    count = min(len(encoder.stages) - 1, WHOLE_FROM.bit_length() - 1)
    for index, stage in enumerate(encoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            return min(count, index)
    return count


def _encode(
    encoder: Encoder, pictures: list[Tensor], region: Region
) -> tuple[Tensor, dict[int, tuple[Region, Tensor]]]:
    """Encode one region.

    Args:
        encoder: In evaluation mode.
        pictures: The picture, and reduced to each of the fine stages' outputs.
        region: Of the input of the first coarse stage.

    Returns:
        That input within the region; and, by the stage's index, the fine levels and where they lie.
    """
    in_region, level_region = region, region
    plan: list[tuple[Region, Region, Region]] = []
    for index in reversed(range(len(pictures) - 1)):
        stage = encoder.stages[index]
        assert isinstance(stage, EncoderStage)
        level_region, out_region = level_region.double(), in_region.double()
        inner = out_region
        if encoder.head_of(index) is not None:
            inner = _union(out_region, level_region.grow(HEAD_RADIUS))
        in_region = inner.grow(BLOCK_RADIUS * len(stage.blocks))
        in_region = in_region.halve().double()  # whole pairs, which pooling keeps together
        plan.append((in_region, out_region, level_region))
    levels: dict[int, tuple[Region, Tensor]] = {}
    stem_region = in_region.grow(HEAD_RADIUS)
    part = in_region.crop_within(encoder.stem(stem_region.of(pictures[0])), stem_region)
    for index, (in_region, out_region, level_region) in enumerate(reversed(plan)):
        part = encoder.stages[index](part, in_region.of(pictures[index]))
        if head := encoder.head_of(index):
            levels[index] = level_region, level_region.crop_within(head(part), in_region)
        part = average_pool(out_region.crop_within(part, in_region))
    return part, levels
