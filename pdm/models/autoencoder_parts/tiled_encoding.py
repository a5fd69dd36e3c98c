"""Encoding tile by tile; see `pdm.models.autoencoder_parts.tiling`."""

from dataclasses import dataclass

from torch import Tensor, nn

from pdm.models.autoencoder_parts.encoder import Encoder, EncoderStage
from pdm.models.autoencoder_parts.tiling import BLOCK_RADIUS, HEAD_RADIUS, WHOLE_FROM
from pdm.models.layers.basic import average_pool
from pdm.models.regions import Region, tile_regions


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
    pooled = [images]
    for _ in range(num_fine):
        pooled.append(average_pool(pooled[-1]))
    height, width = pooled[-1].shape[2:]
    first: Tensor | None = None
    fine: dict[int, Tensor] = {}
    for region in tile_regions(height, width, tile_px >> num_fine):
        part, levels = _encode(encoder, pooled, region)
        if first is None:
            first = part.new_empty(len(part), part.shape[1], height, width)
        region.of(first).copy_(part)
        for index, (level_region, level) in levels.items():
            if index not in fine:
                size = level_region.map_height, level_region.map_width
                fine[index] = level.new_empty(*level.shape[:2], *size)
            level_region.of(fine[index]).copy_(level)
    assert first is not None
    coarse = encoder.coarse(first, pooled[-1], num_fine)
    return (*coarse, *(fine[index] for index in sorted(fine, reverse=True)))


def _num_fine(encoder: Encoder) -> int:
    """Count the stages that run on regions: up to the first with attention or coarse."""
    count = min(len(encoder.stages) - 1, WHOLE_FROM.bit_length() - 1)
    for index, stage in enumerate(encoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            return min(count, index)
    return count


@dataclass(frozen=True, slots=True)
class _Step:
    """What one fine stage works on, as regions of the maps at its resolution.

    Args:
        inputs: Features that it reads: what the other two need, with the margin of its layers.
        outputs: Features that the next coarser stage reads, before they are pooled.
        level: The latent of its level, if it has one.
    """

    inputs: Region
    outputs: Region
    level: Region


def _plan(encoder: Encoder, num_fine: int, region: Region) -> list[_Step]:
    """Plan a region of the first coarse stage's input backwards; return the steps, fine to
    coarse."""
    inputs = level = region
    steps: list[_Step] = []
    for index in reversed(range(num_fine)):
        stage = encoder.stages[index]
        assert isinstance(stage, EncoderStage)
        level, outputs = level.double(), inputs.double()
        needed = outputs
        if encoder.head_of(index) is not None:
            needed = outputs.union(level.grow(HEAD_RADIUS))
        inputs = needed.grow(BLOCK_RADIUS * len(stage.blocks))
        inputs = inputs.halve().double()  # whole pairs, which pooling keeps together
        steps.append(_Step(inputs, outputs, level))
    return steps[::-1]


def _encode(
    encoder: Encoder, pooled: list[Tensor], region: Region
) -> tuple[Tensor, dict[int, tuple[Region, Tensor]]]:
    """Encode one region by the fine stages.

    Args:
        encoder: In evaluation mode.
        pooled: The images, and what each of the fine stages pools them to.
        region: Of the input of the first coarse stage.

    Returns:
        That input within the region; and, by the stage's index, the fine levels and where they lie.
    """
    steps = _plan(encoder, len(pooled) - 1, region)
    levels: dict[int, tuple[Region, Tensor]] = {}
    stem_region = steps[0].inputs.grow(HEAD_RADIUS)
    part = steps[0].inputs.crop_within(encoder.stem(stem_region.of(pooled[0])), stem_region)
    for index, step in enumerate(steps):
        part = encoder.stages[index](part, step.inputs.of(pooled[index]))
        if head := encoder.head_of(index):
            levels[index] = step.level, step.level.crop_within(head(part), step.inputs)
        part = average_pool(step.outputs.crop_within(part, step.inputs))
    return part, levels
