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
    decoder: Decoder, pyramid: Pyramid, height: int, breadth: int, tile_px: int
) -> Tensor:
    """Return what `decoder(pyramid, height, breadth)` gives, tile by tile.

    Args:
        decoder: In evaluation mode.
        pyramid: Any prefix of the levels.
        height: Of the coarsest map; its breadth likewise.
        tile_px: Side of the regions in pixels of the picture.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, breadth, num_whole)
    num_fine = len(decoder.stages) - num_whole
    if not num_fine:
        return images
    height, breadth = (side << num_fine for side in features.shape[2:])
    result = images.new_empty(len(images), images.shape[1], height, breadth)
    for region in tile_regions(height, breadth, tile_px):
        region.of(result).copy_(_decode(decoder, features, images, pyramid, region))
    return result


def decode_region(
    decoder: Decoder, pyramid: Pyramid, height: int, breadth: int, region: Region
) -> Tensor:
    """Decode one region of what `decoder(pyramid, height, breadth)` gives; gradients flow.

    The coarse stages run on the whole picture, the fine ones on the region with a margin. So a
    network can be trained on parts of pictures too large to be decoded with gradients.

    Args:
        decoder: May be in training mode.
        pyramid: Any prefix of the levels.
        height: Of the coarsest map, in its cells; its breadth likewise.
        region: The part to decode, in pixels of the picture.

    Returns:
        (B, 3, h, w), of the region's height and breadth in pixels.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, breadth, num_whole)
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
    """Decode one region of the picture by the fine stages."""
    stages = list(decoder.stages)[_num_whole(decoder) :]
    wanted = region  # of the picture at each resolution, from the finest to the coarsest
    needed: Region | None = None  # of the features that a stage hands on
    plan: list[tuple[Region, Region, Region | None]] = []
    for stage in reversed(stages):
        assert isinstance(stage, DecoderStage)
        inner = wanted.grow(HEAD_RADIUS)
        inner = inner if needed is None else _union(inner, needed)
        taken = inner.grow(_radius(stage))
        plan.append((taken, wanted, needed))
        needed, wanted = taken.halve(), wanted.halve().grow(DOUBLING_RADIUS)
    assert needed is not None
    part, picture = needed.of(features), wanted.of(images)
    held, shown = needed, wanted
    for number, (taken, wanted, needed) in enumerate(reversed(plan), start=_num_whole(decoder)):
        latent = decoder.latent_of(number, pyramid)
        part, share = decoder.stages[number](
            taken.crop_within(upsample_nearest(part), held.double()),
            None if latent is None else taken.of(latent),
        )
        picture = wanted.crop_within(upsample_bilinear(picture), shown.double())
        picture = picture + wanted.crop_within(share, taken)
        if needed is not None:
            part, held = needed.crop_within(part, taken), needed
        shown = wanted
    return picture


def _radius(stage: DecoderStage) -> int:
    radius = BLOCK_RADIUS * sum(isinstance(module, PlainBlock) for module in stage.blocks)
    return radius + (BRANCH_RADIUS if stage.branch is not None else 0)


def _union(one: Region, other: Region) -> Region:
    rows, columns = (
        Span(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in ((one.rows, other.rows), (one.columns, other.columns))
    )
    return Region(rows, columns, one.height, one.breadth)


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
    height, breadth = pictures[-1].shape[2:]
    first: Tensor | None = None
    fine: dict[int, Tensor] = {}
    for region in tile_regions(height, breadth, tile_px >> num_fine):
        part, levels = _encode(encoder, pictures, region)
        if first is None:
            first = part.new_empty(len(part), part.shape[1], height, breadth)
        region.of(first).copy_(part)
        for index, (place, level) in levels.items():
            if index not in fine:
                fine[index] = level.new_empty(*level.shape[:2], place.height, place.breadth)
            place.of(fine[index]).copy_(level)
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
    """Encode one region: the first coarse stage's input, and the fine levels by stage."""
    needed, core = region, region
    plan: list[tuple[Region, Region, Region]] = []
    for index in reversed(range(len(pictures) - 1)):
        stage = encoder.stages[index]
        assert isinstance(stage, EncoderStage)
        core, wanted = core.double(), needed.double()
        inner = wanted if encoder.head_of(index) is None else _union(wanted, core.grow(HEAD_RADIUS))
        taken = inner.grow(BLOCK_RADIUS * len(stage.blocks))
        taken = taken.halve().double()  # whole pairs, which pooling keeps together
        plan.append((taken, wanted, core))
        needed = taken
    levels: dict[int, tuple[Region, Tensor]] = {}
    stem = needed.grow(HEAD_RADIUS)
    part = needed.crop_within(encoder.stem(stem.of(pictures[0])), stem)
    for index, (taken, wanted, core) in enumerate(reversed(plan)):
        part = encoder.stages[index](part, taken.of(pictures[index]))
        if head := encoder.head_of(index):
            levels[index] = core, core.crop_within(head(part), taken)
        part = average_pool(wanted.crop_within(part, taken))
    return part, levels
