"""Draws an image of any size by its plan: from a composition through the rounds of enlargement."""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pdm.config.sampling.any_size import Colour
from pdm.config.sampling.tiling import TilingConfig
from pdm.data.pixels import Pixels
from pdm.inference.any_size.colour import correct_colour
from pdm.inference.any_size.fit import cut_bands, fit
from pdm.inference.any_size.plan import Plan, Round
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.any_size.tiled.enlarge import OnProgress, count_tiles, enlarge
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.any_size.unfinished import load_or_draw
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Enlarger:
    """How images are enlarged.

    Args:
        models: The models.
        tiling: Of the sampling.
        colour: How colours are kept.
        strength: Share of the detail that is drawn anew; None for the default of the model.
        seed: Of the image; each round has a seed that follows from it.
        condition: What the image shows, with one row; None for what the model's task says.
        boxes: In place of it, for a model of layouts; `shown` is that of the composition.
    """

    models: LoadedModels
    tiling: TilingConfig
    colour: Colour
    seed: int
    strength: float | None = None
    condition: GuidedCondition | None = None
    boxes: TileBoxes | None = None

    def count(self, current: Round, number: int) -> int:
        """Count the tiles of a round."""
        seed = _seed_of_round(self.seed, number)
        return count_tiles(
            *(self.models, current.size, current.factor, self.tiling, seed, self.strength)
        )

    def enlarge(
        self,
        picture: Pixels,
        factor: int,
        number: int,
        folder: Path,
        on_progress: OnProgress,
        shown: Rectangle,
    ) -> Iterator[Pixels]:
        """Enlarge an image.

        Args:
            picture: uint8 (H, W, 3).
            factor: One of `factors`.
            number: Of the round.
            folder: For the unfinished state.
            on_progress: See `pdm.inference.any_size.tiled.enlarge.enlarge`.
            shown: Where the image that is asked for is in the result.

        Yields:
            uint8 (rows, factor * W, 3), from the top.
        """
        folder.mkdir(exist_ok=True)
        height, width = (factor * side for side in picture.shape[:2])
        bands = enlarge(
            self.models,
            picture,
            factor,
            tiling=self.tiling,
            seed=_seed_of_round(self.seed, number),
            strength=self.strength,
            condition=self.condition,
            boxes=self.boxes and replace(self.boxes, shown=shown),
            on_progress=on_progress,
            state=folder,
        )
        reference = EnlargedImage(picture, factor, (height, width))
        return correct_colour(self.colour, bands, reference, (height, width), folder / "bands")


def draw_by_plan(
    plan: Plan,
    compose: Callable[[], Iterable[Pixels]],
    enlarger: Enlarger,
    folder: Path,
    name: str,
) -> Iterator[Pixels]:
    """Draw an image.

    Args:
        plan: Of the image.
        compose: Gives the bands of the composition.
        enlarger: How to enlarge.
        folder: For what is finished. A run that was killed resumes from there, with equal pixels.
        name: First word of the lines of progress.

    Yields:
        uint8 (rows, W, 3), from the top.
    """
    picture = load_or_draw(folder / "composition.npy", plan.composition, compose)
    progress = _RoundsProgress(
        name, [enlarger.count(each, number) for number, each in enumerate(plan.rounds)]
    )
    for number, current in enumerate(plan.rounds):
        shown = plan.shown_parts[number + 1]
        draw = partial(_draw_round, enlarger, picture, current, number, folder, progress, shown)
        if number == len(plan.rounds) - 1 and not plan.is_reduced_last:
            yield from cut_bands(draw(), plan.area)
            return
        picture = load_or_draw(folder / f"round-{number}.npy", current.result, draw)
    yield fit(picture, plan.area, plan.size)


def _draw_round(
    enlarger: Enlarger,
    picture: Pixels,
    current: Round,
    number: int,
    folder: Path,
    progress: "_RoundsProgress",
    shown: Rectangle,
) -> Iterator[Pixels]:
    state = folder / f"round-{number}"
    small = fit(picture, current.area, current.size)
    report = progress.of_round(number)
    yield from enlarger.enlarge(small, current.factor, number, state, report, shown)
    shutil.rmtree(state)


class _RoundsProgress:
    """Logs the tiles of all rounds together, with the time that is left."""

    def __init__(self, name: str, tiles: list[int]) -> None:
        self.name, self.tiles = name, tiles
        self.progress: Progress | None = None

    def of_round(self, number: int) -> OnProgress:
        """Return what gets the tiles of one round."""
        before, total = sum(self.tiles[:number]), sum(self.tiles)

        def report(done: int, all_tiles: int) -> None:
            if self.progress is None:  # what an earlier run has done says nothing of our speed
                self.progress = Progress(self.name, total, unit="tiles", done=before + done)
            self.progress.reach(before + done)

        return report


def _seed_of_round(seed: int, number: int) -> int:
    """Equal noise in two rounds would show as a pattern."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:6])
