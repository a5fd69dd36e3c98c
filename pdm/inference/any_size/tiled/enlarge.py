"""Enlarges an image of any size by a trained model, drawing fine detail tile by tile.

A tile has the trained size and is a complete pyramid. Its coarse levels are those of the image
after a bicubic enlargement; its fine levels are parts of maps of the whole large image, whose
predictions are stitched in every step (`pdm.diffusion.tiles`). So the composition is that of the
image, and memory is that of a few tiles, of the drawn maps and of one row of decoded tiles.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pdm.config.sampling.tiling import TilingConfig
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.data.provenance import pixels_sha256
from pdm.diffusion.samplers import Point
from pdm.diffusion.tiles.layout import Tile, TileLayout
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.errors import BadInput
from pdm.inference.any_size.tiled.canvas import Canvas, make_canvas
from pdm.inference.any_size.tiled.decode import decode_bands, decoding_layout
from pdm.inference.any_size.tiled.encode import EncodedOnce, encode_maps
from pdm.inference.any_size.tiled.encoding_cache import EncodingCache
from pdm.inference.any_size.tiled.state import load_state, save_state
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.any_size.tiled.tile_velocity import (
    SamplingSchedule,
    TileDenoiser,
    check_model,
    plan_steps,
    start_of,
)
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.models.condition import Condition
from pdm.models.levels.pyramid import Pyramid

OnProgress = Callable[[int, int], None]  # (tiles done, all tiles)


def enlarge(
    models: LoadedModels,
    picture: Pixels,
    factor: int,
    *,
    tiling: TilingConfig | None = None,
    seed: int = 0,
    strength: float | None = None,
    condition: GuidedCondition | None = None,
    boxes: TileBoxes | None = None,
    on_progress: OnProgress = lambda done, total: None,
    state: Path | None = None,
    save_seconds: float = 30.0,
) -> Iterator[Pixels]:
    """Enlarge an image; the result comes in bands, so that its size does not matter to memory.

    Args:
        models: The models: trained for super-resolution, unconditional, of classes or of text.
        picture: uint8 (H, W, 3), of any size.
        factor: One of `pdm.inference.any_size.tiled.canvas.enlarging_factors(models)`.
        tiling: Mode and further settings; None for FSTD. Its seed is replaced by `seed`, and no
            more tiles are evaluated at once than images by `sample` (`sample.batch_size`).
        seed: Of noise and offsets.
        strength: How much is drawn: 1 begins at noise, less at a mix of noise and the enlarged
            image (SDEdit). None for `default_strength(models)`.
        condition: What the image shows, with one row; None for what the seed says.
        boxes: In place of it, for a model of layouts: each tile gets its part of them.
        on_progress: Gets the number of tiles done, and of all. A tile is counted once for each
            evaluation of the network, and once when it is decoded.
        state: Folder for an unfinished state. A run that was killed resumes from the last saved
            step, with equal bits. Delete the folder when the image is written; None to save
            nothing.
        save_seconds: Least time between two saves.

    Yields:
        uint8 (rows, factor * W, 3), from top to bottom, factor * H rows in all.

    Raises:
        BadInput: The model cannot enlarge, or not by this factor; or the strength is out of range.
            Raised at the call, before any work.
    """
    check_model(models)
    tiling = tiling or TilingConfig()
    at_once = min(tiling.tiles_at_once, models.config.batch_size)
    config = replace(tiling, seed=seed, tiles_at_once=at_once)
    strength = default_strength(models) if strength is None else strength
    if not 0 <= strength <= 1:
        raise BadInput(f"the strength is {strength}; give a number from 0 (nothing new) to 1")
    canvas = make_canvas(models, picture, factor)
    job = Job(canvas, config, seed, strength, condition, boxes)
    return job.run(on_progress, state, save_seconds)


def count_tiles(
    models: LoadedModels,
    size: tuple[int, int],
    factor: int,
    tiling: TilingConfig,
    seed: int,
    strength: float | None = None,
) -> int:
    """Count the tiles of an enlargement, as `on_progress` of `enlarge` does.

    Args:
        models: The models.
        size: (H, W) of the image before.
        factor: As for `enlarge`, as are the others.
    """
    shape_only = np.broadcast_to(np.uint8(0), (*size, 3))
    canvas, config = make_canvas(models, shape_only, factor), replace(tiling, seed=seed)
    strength = default_strength(models) if strength is None else strength
    schedule = plan_steps(canvas, seed, strength, 0)
    layout = canvas.layout(config)
    return _num_tiles(layout, schedule, schedule.num_steps) + _num_decoded(canvas, config)


def default_strength(models: LoadedModels) -> float:
    """Return the strength of an enlargement: 1 starts from noise.

    It is 1 for a model that was trained to enlarge, and half elsewhere: the finest level of the
    enlarged image is soft but true, and from noise alone small models draw contours anew (see
    docs/any-size.md).
    """
    return 1.0 if isinstance(models.task, SuperResolutionTask) else 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """The enlargement of a canvas; arguments as for `enlarge`."""

    canvas: Canvas
    config: TilingConfig
    seed: int
    strength: float
    condition: GuidedCondition | None
    boxes: TileBoxes | None = None

    @torch.no_grad()
    def run(
        self, on_progress: OnProgress, folder: Path | None, save_seconds: float
    ) -> Iterator[Pixels]:
        """Draw the maps, then decode them and yield the bands."""
        progress = _Count(on_progress, _num_decoded(self.canvas, self.config))
        yield from self._crop(self._draw(progress, folder, save_seconds), progress)

    def _draw(self, progress: "_Count", folder: Path | None, save_seconds: float) -> Pyramid:
        """Return the drawn maps, as data; all else that sampling needs is freed."""
        key = "" if folder is None else self.key()
        state = None if folder is None else load_state(folder, key, self.canvas.models.device)
        done = 0 if state is None else state.point.number
        schedule = plan_steps(self.canvas, self.seed, self.strength, done)
        layout = self.canvas.layout(self.config)
        progress.total += _num_tiles(layout, schedule, schedule.num_steps)
        progress.add(_num_tiles(layout, schedule, done))
        encode, encode_whole = self._encoders(layout, schedule)
        shown = self.condition, self.boxes
        denoiser = TileDenoiser(self.canvas, schedule, encode, self.seed, *shown)
        velocity = TiledVelocity(denoiser, layout, self.canvas.scales, progress.add)
        if state is None:
            begin = start_of(self.canvas, schedule, self.seed, self.strength, encode_whole)
            state = TiledState(Point(begin))
            del begin
        saved = time.monotonic()
        for reached in sample_in_tiles(schedule.step, velocity, state, schedule.times):
            state, is_last = reached, reached.point.number == schedule.num_steps
            if folder is not None and (is_last or time.monotonic() - saved >= save_seconds):
                save_state(folder, state, key)
                saved = time.monotonic()
        return state.point.pyramid

    def _encoders(
        self, layout: TileLayout, schedule: SamplingSchedule
    ) -> tuple[Callable[[Sequence[Tile]], Pyramid], Callable[[], Pyramid]]:
        """Return what encodes some tiles of the image, and what encodes all of it."""
        canvas, at_once = self.canvas, self.config.tiles_at_once
        if canvas.models.networks.network.begins_at_image:
            once = EncodedOnce(canvas, at_once)
            return once.cut, lambda: once.maps
        return EncodingCache(canvas, layout, schedule).encode, partial(encode_maps, canvas, at_once)

    def _crop(self, pyramid: Pyramid, progress: "_Count") -> Iterator[Pixels]:
        """Yield bands without what was added at the bottom and on the right."""
        enlarged = self.canvas.picture
        height, width = (side * enlarged.factor for side in enlarged.small.shape[:2])
        top = 0
        for band in decode_bands(self.canvas, pyramid, self.config.tiles_at_once, progress.add):
            rows = min(len(band), height - top)
            if rows > 0:
                yield band[:rows, :width]
            top += len(band)

    def key(self) -> str:
        """Digest of everything that the result depends on."""
        models, enlarged = self.canvas.models, self.canvas.picture
        condition = self.condition
        parts = (None, None) if condition is None else (condition.shown, condition.negative)
        depends = {
            "facts": models.facts,
            "picture": pixels_sha256(enlarged.small),
            "factor": enlarged.factor,
            "tiling": asdict(self.config),
            "strength": self.strength,
            "seed": self.seed,
            "conditions": [None if part is None else _digests_of(part) for part in parts],
        }
        if self.boxes:
            depends["boxes"] = [asdict(self.boxes.layout), asdict(self.boxes.shown)]
        return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class _Count:
    on_progress: OnProgress
    total: int
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        self.on_progress(self.done, self.total)


def _num_tiles(layout: TileLayout, schedule: SamplingSchedule, steps: int) -> int:
    return sum(len(layout.grid(step).tiles) * schedule.evaluations(step) for step in range(steps))


def _num_decoded(canvas: Canvas, config: TilingConfig) -> int:
    rows, columns = decoding_layout(canvas, config.tiles_at_once)
    return len(rows.starts) * len(columns.starts)


def _digests_of(condition: Condition) -> list[str]:
    return [_digest_of(tensor) for tensor in condition.tensors]


def _digest_of(tensor: torch.Tensor) -> str:
    content = tensor.double().cpu().numpy().tobytes()
    return hashlib.sha256(f"{tuple(tensor.shape)}".encode() + content).hexdigest()
