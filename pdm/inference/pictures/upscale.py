"""Enlarges an image of any size, tile by tile.

Tiles are as large as the images that the model learned from. They overlap, share one field of
noise, so that they agree where they overlap, and are blended there. Each has the colours of the
part that it enlarges. Memory is that of a few tiles, and of the result in bytes, with its noise.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.latent_sampling import SamplingInputs
from pdm.inference.pictures.guided import Guiding, choose_guiding, guide_to
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.pictures.windows import Window, round_up
from pdm.models.levels.pyramid import Pyramid
from pdm.seeds import generator_of
from pdm.tasks.find import how_trained
from pdm.tasks.partial_pictures.degradation import back_project
from pdm.tasks.super_resolution import enlarged_condition

OVERLAP = 0.25  # of a tile's side, at least
MEAN_ERROR, MEAN_ROUNDS = 0.05, 8  # levels of 255
BAND_ROWS = 64  # shifted at once


def super_resolution_task(models: LoadedModels, factor: int | None) -> SuperResolutionTask:
    """Return the model's task, which must be super-resolution.

    Raises:
        BadInput: It does not enlarge, or by another factor.
    """
    task = models.task
    if models.networks.network.begins_at_image:
        raise BadInput(
            "the model enlarges to a size, not by a factor; name the size, such as --size 2048x1536"
        )
    if not isinstance(task, SuperResolutionTask):
        raise BadInput(
            f"the model was trained {how_trained(task)}, not to enlarge; enlarge with --size, take "
            "a model trained for super_resolution (`pyramid preset task-super-resolution`), or "
            "guide an unconditional one with --guide-strength 1"
        )
    if factor not in (None, task.factor):
        raise BadInput(f"--factor is {factor}, but the model enlarges {task.factor} times")
    return task


def choose_method(
    models: LoadedModels, factor: int | None, guide_strength: float | None
) -> SuperResolutionTask | Guiding:
    """Return how to enlarge: by the model's task, or by guidance if its strength is named.

    Raises:
        BadInput: The model does not enlarge in this way, or by another factor.
    """
    if guide_strength is None:
        return super_resolution_task(models, factor)
    return choose_guiding(models, factor, guide_strength)


def upscale(
    models: LoadedModels,
    method: SuperResolutionTask | Guiding,
    picture: Pixels,
    seed: int,
    on_tiles: Callable[[int, int], None] = lambda done, total: None,
) -> Pixels:
    """Enlarge an image by the factor of the method.

    Args:
        models: The models.
        method: From `choose_method`.
        picture: uint8 (H, W, 3), of any size. Beyond its edges tiles see its mirror image.
        seed: Of the noise.
        on_tiles: Gets the numbers of finished tiles and of all.

    Returns:
        uint8 (N H, N W, 3). The mean of each channel is that of the image within half a level,
        as far as white and black allow.
    """
    factor = method.factor
    tile = models.size[0] // factor, models.size[1] // factor
    unit = max(1, models.side_multiple // factor)
    columns, rows = (_starts(picture.shape[axis], tile[axis], unit) for axis in (1, 0))
    padded = _pad(picture, rows[-1] + tile[0], columns[-1] + tile[1])
    noise = _noise_field(models, seed, padded.shape[0] * factor, padded.shape[1] * factor)
    windows = [Window(top, left, *tile) for top in rows for left in columns]
    result = np.empty((padded.shape[0] * factor, padded.shape[1] * factor, 3), np.uint8)
    done = 0
    for batch in _batches(windows, models.config.batch_size):
        small = [window.of(padded) for window in batch]
        parts = [_cut_noise(models, noise, window, factor) for window in batch]
        batch_noise = tuple(torch.cat(level) for level in zip(*parts, strict=True))
        drawn = _draw_tiles(models, method, small, [seed] * len(batch), batch_noise)
        for window, reduced, large in zip(batch, small, drawn, strict=True):
            _blend(result, back_project(large, reduced), window, factor, (rows, columns))
        done += len(batch)
        on_tiles(done, len(windows))
    height, width = picture.shape[0] * factor, picture.shape[1] * factor
    large = result[:height, :width]
    _match_means(large, picture)
    return large


def _draw_tiles(
    models: LoadedModels,
    method: SuperResolutionTask | Guiding,
    small: Sequence[Pixels],
    seeds: Sequence[int],
    noise: Pyramid,
) -> list[Pixels]:
    if isinstance(method, Guiding):
        guide = guide_to(models, small, method)
        return models.draw(seeds, models.size, SamplingInputs(noise=noise, guide=guide))
    condition = GuidedCondition(enlarged_condition(small, method, models.encode))
    return models.draw(seeds, models.size, SamplingInputs(condition=condition, noise=noise))


def _starts(side: int, tile: int, unit: int) -> list[int]:
    """Return where tiles begin along one axis: at multiples of the unit, overlapping by a
    quarter."""
    if side <= tile:
        return [0]
    most = max(unit, int((1 - OVERLAP) * tile) // unit * unit)
    count = -(-(side - tile) // most)
    step = round_up(-(-(side - tile) // count), unit)
    return [number * step for number in range(count + 1)]


def _pad(picture: Pixels, height: int, width: int) -> Pixels:
    margins = [(0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)]
    return np.pad(picture, margins, "symmetric")


def _batches(windows: Sequence[Window], size: int) -> Iterator[Sequence[Window]]:
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def _noise_field(models: LoadedModels, seed: int, height: int, width: int) -> Pyramid:
    """Draw noise for the whole image: each level but the global one at its full size."""
    generator = generator_of(seed)
    multiple = models.side_multiple
    shapes = models.autoencoder.level_shapes(round_up(height, multiple), round_up(width, multiple))
    return tuple(torch.randn(1, *shape, generator=generator) for shape in shapes)


def _cut_noise(models: LoadedModels, noise: Pyramid, window: Window, factor: int) -> Pyramid:
    """Cut the noise of a tile out; tiles begin at whole cells of every level."""
    shapes = models.autoencoder.level_shapes(*models.size)
    parts = []
    downsamplings = models.autoencoder.level_downsamplings
    for level, shape, downsampling in zip(noise, shapes, downsamplings, strict=True):
        if downsampling == "global":
            parts.append(level)
            continue
        top, left = (start * factor // int(downsampling) for start in (window.top, window.left))
        parts.append(level[:, :, top : top + shape[1], left : left + shape[2]])
    return tuple(parts)


def _blend(
    result: Pixels,
    large: Pixels,
    window: Window,
    factor: int,
    starts: tuple[Sequence[int], Sequence[int]],
) -> None:
    """Lay a tile over those above and to the left of it, rising over the overlap."""
    rows = _ramp(window.top, window.height, starts[0], factor)
    columns = _ramp(window.left, window.width, starts[1], factor)
    scaled = Window(
        *(factor * side for side in (window.top, window.left, window.height, window.width))
    )
    below = scaled.of(result)
    alpha = (rows[:, None] * columns[None])[..., None]
    mixed = np.where(alpha < 1, below + alpha * (large.astype(np.float32) - below), large)
    below[:] = mixed.round().clip(0, 255)


def _ramp(start: int, tile: int, starts: Sequence[int], factor: int) -> NDArray[np.float32]:
    """Return the weight of a tile along one axis: rising from its start to the end of the last."""
    weights = np.ones(factor * tile, np.float32)
    number = starts.index(start)
    if number:
        overlap = factor * (starts[number - 1] + tile - start)
        weights[:overlap] = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
    return weights


def _match_means(large: Pixels, picture: Pixels) -> None:
    """Shift channels, in place, whose mean is not that of the image; a few rounds, for clipped
    values."""
    for channel, wanted in enumerate(picture.mean(axis=(0, 1), dtype=np.float64)):
        plane = large[..., channel]
        for _ in range(MEAN_ROUNDS):
            shift = wanted - plane.mean(dtype=np.float64)
            if abs(shift) <= MEAN_ERROR:
                break
            _shift(plane, shift)


def _shift(plane: NDArray[np.uint8], shift: float) -> None:
    """Shift the values of a channel (H, W), in place and band by band.

    A shift by less than a level reaches a share of the pixels only, chosen at random.
    """
    random = np.random.default_rng(0)
    for top in range(0, len(plane), BAND_ROWS):
        band = plane[top : top + BAND_ROWS]
        dither = random.random(band.shape, np.float32)
        band[:] = (band + np.floor(np.float32(shift) + dither)).clip(0, 255)
