"""Encodes and decodes large pictures part by part, with the result of the whole picture.

The coarse stages see the whole picture as always: their maps are small, and attention needs all of
them. The fine stages, which take nearly all memory, see one window after the other. Each window
carries so much of its surroundings that no value inside depends on where it was cut, and the
surroundings shrink stage by stage to what the next ones still need. At the picture's own edges a
window ends as the picture does. So nothing is blended, there are no seams, and what differs from
the whole is the rounding of floats.

It asks for networks that do the same everywhere: norms per pixel (`norm: pixel`), not group norms,
which take their statistics from the whole map.
"""

from torch import Tensor, nn

from pdm.models.decoder import Decoder, DecoderStage, smoothly_doubled
from pdm.models.encoder import Encoder, EncoderStage
from pdm.models.layers import PlainBlock, doubled, pooled
from pdm.models.pyramid import Pyramid
from pdm.models.regions import Span, Window, windows

WHOLE_FROM = 16  # downsampling; coarser maps take a 256th of the pixels and less
HEAD_RADIUS = 1  # pixels that a 3x3 convolution reaches beyond its own
DOUBLING_RADIUS = 1  # of bilinear interpolation, before it doubles
BLOCK_RADIUS = 2
BRANCH_RADIUS = HEAD_RADIUS + BLOCK_RADIUS


def check_tiles(model: nn.Module, tile_px: int) -> None:
    """Whether the network can work window by window.

    Raises:
        ValueError: It norms over whole maps, or `tile_px` is no multiple of 64.
    """
    if tile_px < 1 or tile_px % 64:
        raise ValueError(f"tile_px is {tile_px}; give a positive multiple of 64")
    check_norms(model)


def check_norms(model: nn.Module) -> None:
    """Whether the network does the same to a part of a picture as to the whole.

    Raises:
        ValueError: It norms over whole maps.
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        raise ValueError(
            "this network norms over whole maps (autoencoder.model.norm: group), so it cannot work "
            "part by part; leave tile_px and crop_px out, or train one with norm: pixel"
        )


def decode_in_tiles(
    decoder: Decoder, pyramid: Pyramid, height: int, breadth: int, tile_px: int
) -> Tensor:
    """What `decoder(pyramid, height, breadth)` gives.

    Args:
        decoder: In evaluation mode.
        pyramid: Any prefix of the levels.
        height: Of the coarsest map; its breadth likewise.
        tile_px: Side of the windows in pixels of the picture.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, breadth, num_whole)
    num_fine = len(decoder.stages) - num_whole
    if not num_fine:
        return images
    height, breadth = (side << num_fine for side in features.shape[2:])
    result = features.new_empty(len(features), images.shape[1], height, breadth)
    for window in windows(height, breadth, tile_px):
        window.of(result).copy_(_decoded(decoder, features, images, pyramid, window))
    return result


def decode_window(
    decoder: Decoder, pyramid: Pyramid, height: int, breadth: int, window: Window
) -> Tensor:
    """One window of what `decoder(pyramid, height, breadth)` gives; gradients flow.

    The coarse stages see the whole picture, the fine ones the window with its surroundings: so a
    network is trained on parts of pictures too large to be decoded with gradients.
    """
    num_whole = _num_whole(decoder)
    features, images = decoder.coarse(pyramid, height, breadth, num_whole)
    if num_whole == len(decoder.stages):
        return window.of(images)
    return _decoded(decoder, features, images, pyramid, window)


def _num_whole(decoder: Decoder) -> int:
    """How many of the stages see the whole picture: up to the last that attends or is coarse."""
    count = max(1, len(decoder.stages) - (WHOLE_FROM.bit_length() - 1))
    for number, stage in enumerate(decoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            count = max(count, number + 1)
    return count


def _decoded(
    decoder: Decoder, features: Tensor, images: Tensor, pyramid: Pyramid, window: Window
) -> Tensor:
    """One window of the picture."""
    stages = list(decoder.stages)[_num_whole(decoder) :]
    wanted = window  # of the picture at each resolution, from the finest to the coarsest
    needed: Window | None = None  # of the features that a stage hands on
    plan: list[tuple[Window, Window, Window | None]] = []
    for stage in reversed(stages):
        assert isinstance(stage, DecoderStage)
        inner = wanted.grown(HEAD_RADIUS)
        inner = inner if needed is None else _union(inner, needed)
        taken = inner.grown(_radius(stage))
        plan.append((taken, wanted, needed))
        needed, wanted = taken.halved(), wanted.halved().grown(DOUBLING_RADIUS)
    assert needed is not None
    part, picture = needed.of(features), wanted.of(images)
    held, shown = needed, wanted
    for number, (taken, wanted, needed) in enumerate(reversed(plan), start=_num_whole(decoder)):
        latent = decoder.latent_of(number, pyramid)
        part, share = decoder.stages[number](
            taken.within(doubled(part), held.twice()), None if latent is None else taken.of(latent)
        )
        picture = wanted.within(smoothly_doubled(picture), shown.twice())
        picture = picture + wanted.within(share, taken)
        if needed is not None:
            part, held = needed.within(part, taken), needed
        shown = wanted
    return picture


def _radius(stage: DecoderStage) -> int:
    radius = BLOCK_RADIUS * sum(isinstance(module, PlainBlock) for module in stage.blocks)
    return radius + (BRANCH_RADIUS if stage.branch is not None else 0)


def _union(one: Window, other: Window) -> Window:
    rows, columns = (
        Span(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in ((one.rows, other.rows), (one.columns, other.columns))
    )
    return Window(rows, columns, one.height, one.breadth)


def encode_in_tiles(encoder: Encoder, images: Tensor, tile_px: int) -> tuple[Tensor, ...]:
    """What `encoder(images)` gives.

    Args:
        encoder: In evaluation mode.
        images: (B, 3, H, W).
        tile_px: Side of the windows in pixels.
    """
    num_fine = _num_fine(encoder)
    if not num_fine:
        return tuple(encoder(images))
    pictures = [images]
    for _ in range(num_fine):
        pictures.append(pooled(pictures[-1]))
    height, breadth = pictures[-1].shape[2:]
    first: Tensor | None = None
    fine: dict[int, Tensor] = {}
    for window in windows(height, breadth, tile_px >> num_fine):
        part, levels = _encoded(encoder, pictures, window)
        if first is None:
            first = part.new_empty(len(part), part.shape[1], height, breadth)
        window.of(first).copy_(part)
        for index, (place, level) in levels.items():
            if index not in fine:
                fine[index] = level.new_empty(*level.shape[:2], place.height, place.breadth)
            place.of(fine[index]).copy_(level)
    assert first is not None
    coarse = encoder.coarse(first, pictures[-1], num_fine)
    return (*coarse, *(fine[index] for index in sorted(fine, reverse=True)))


def _num_fine(encoder: Encoder) -> int:
    """How many of the stages see windows: up to the first that attends or is coarse."""
    count = min(len(encoder.stages) - 1, WHOLE_FROM.bit_length() - 1)
    for index, stage in enumerate(encoder.stages):
        if not isinstance(stage.attention, nn.Identity):
            return min(count, index)
    return count


def _encoded(
    encoder: Encoder, pictures: list[Tensor], window: Window
) -> tuple[Tensor, dict[int, tuple[Window, Tensor]]]:
    """One window of what the first coarse stage takes, and of the fine levels by stage."""
    needed, core = window, window
    plan: list[tuple[Window, Window, Window]] = []
    for index in reversed(range(len(pictures) - 1)):
        stage = encoder.stages[index]
        assert isinstance(stage, EncoderStage)
        core, wanted = core.twice(), needed.twice()
        inner = (
            wanted if encoder.head_of(index) is None else _union(wanted, core.grown(HEAD_RADIUS))
        )
        taken = inner.grown(BLOCK_RADIUS * len(stage.blocks))
        taken = taken.halved().twice()  # whole pairs, which pooling keeps together
        plan.append((taken, wanted, core))
        needed = taken
    levels: dict[int, tuple[Window, Tensor]] = {}
    stem = needed.grown(HEAD_RADIUS)
    part = needed.within(encoder.stem(stem.of(pictures[0])), stem)
    for index, (taken, wanted, core) in enumerate(reversed(plan)):
        part = encoder.stages[index](part, taken.of(pictures[index]))
        if head := encoder.head_of(index):
            levels[index] = core, core.within(head(part), taken)
        part = pooled(wanted.within(part, taken))
    return part, levels
