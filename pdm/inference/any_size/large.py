"""Draws an image of any size, or enlarges one to any size, and writes it to a file.

A run that was killed resumes where it was when it is started again, and ends with equal bytes:
finished rounds are kept beside the file, and the unfinished one every half minute.
"""

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pdm import __version__
from pdm.config.sampling.any_size import Colour
from pdm.config.sampling.tiling import TilingConfig
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import SuperResolutionTask
from pdm.data.large_pictures.write import write_picture
from pdm.data.pixels import Pixels
from pdm.inference.any_size.enlarger_models import boxes_for, condition_for
from pdm.inference.any_size.plan import Plan, nearest_size, plan_drawing, plan_enlargement
from pdm.inference.any_size.rectangles import Rectangle, Size
from pdm.inference.any_size.rounds import Enlarger, draw_by_plan
from pdm.inference.any_size.tiled.canvas import (
    count_known_levels,
    enlarging_factors,
    enlarging_unit,
)
from pdm.inference.any_size.tiled.panorama import compose_side_by_side
from pdm.inference.any_size.tiled.tile_velocity import check_model
from pdm.inference.any_size.unfinished import unfinished
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.layouts import Layouts
from pdm.inference.pictures.draw import Drawing
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.prompts import Prompts
from pdm.inference.sample_settings import settings_of
from pdm.tasks.text import EMPTY
from pdm.versions import versions

logger = logging.getLogger(__name__)

MIN_CUT_LOGGED = 0.02  # share of an image


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeImage:
    """What is asked for.

    Args:
        size: (H, W) in pixels.
        tiling: How tiles are sampled.
        colour: How colours are kept.
        strength: Share of the detail that each enlargement draws anew, from 0 to 1; None for the
            default of the model.
        enlarger: Models that enlarge what is composed; None for the ones that compose.
    """

    size: Size
    tiling: TilingConfig
    colour: Colour
    strength: float | None = None
    enlarger: LoadedModels | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For the image's provenance."""
        height, width = self.size
        own = {"size": [width, height], "tiling": self.tiling.mode, "colour": self.colour}
        return own if self.strength is None else own | {"strength": self.strength}

    @property
    def text(self) -> str:
        """Such as 6000x2500."""
        return f"{self.size[1]}x{self.size[0]}"

    def log(self, models: LoadedModels, plan: Plan, name: str) -> None:
        """Log what will be done, what is cut off, and whether tiles may show.

        Args:
            models: That draw, unless an enlarger is named.
            plan: Of the image.
            name: Of the command: draw, which composes, or upscale, which is given an image.
        """
        begins, whole = ("take", "picture") if name == "upscale" else ("compose", "composition")
        logger.info("%s: %s: %s", name, self.text, str(plan).replace("compose", begins, 1))
        if plan.cut_share >= MIN_CUT_LOGGED:
            logger.info("%s: %.0f %% of the %s is cut off", name, 100 * plan.cut_share, whole)
        if self.enlarger and not plan.rounds:
            logger.warning("%s: nothing is enlarged, so the enlarger is not used", name)
        if plan.rounds and self._tiles_may_show(self.enlarger or models):
            logger.warning(
                "%s: tiles of mode %s may show: a model with a single latent draws all of it; mode "
                "mixture hides them, in about three times the time (docs/any-size.md)",
                name,
                self.tiling.mode,
            )

    def _tiles_may_show(self, models: LoadedModels) -> bool:
        """Whether nothing that is known holds the tiles together; see docs/any-size.md."""
        trained = isinstance(models.task, SuperResolutionTask)
        is_single = count_known_levels(models, max(enlarging_factors(models))) == 0
        return is_single and not trained and self.tiling.mode != "mixture"

    def plan_drawing(self, models: LoadedModels) -> Plan:
        """Plan an image that a model draws from nothing.

        Raises:
            BadInput: The model cannot enlarge.
        """
        check_model(models)
        enlarger = self.enlarger or models
        return plan_drawing(
            self.size,
            [models.size],
            enlarging_factors(enlarger),
            models.side_multiple,
            enlarging_unit(enlarger),
            tile=enlarger.size,
        )

    def plan_enlargement(self, models: LoadedModels, picture: Pixels) -> Plan:
        """Plan the enlargement of an image.

        Raises:
            BadInput: The model cannot enlarge, or the image is not smaller.
        """
        check_model(models)
        height, width, _ = picture.shape
        return plan_enlargement(
            (height, width),
            self.size,
            models.size,
            enlarging_factors(models),
            enlarging_unit(models),
        )


def write_drawing(large: LargeImage, drawing: Drawing, path: Path, facts: Mapping[str, Any]) -> str:
    """Draw an image and write it.

    Args:
        large: What is asked for.
        drawing: What the image shows.
        path: Ends in .png, .tif or .tiff.
        facts: For its provenance.

    Returns:
        The sha256 of its pixels.
    """
    known = drawing.models.sizes or (drawing.models.size,)
    drawing = drawing.at_size(nearest_size(known, large.size))
    models = drawing.models
    plan = large.plan_drawing(models)
    large.log(models, plan, "draw")
    enlarger = _enlarger_of(large, drawing, plan)
    boxes = boxes_for(models, drawing, plan.shown_parts[0])
    if boxes:
        condition = boxes.condition([Rectangle(0, 0, *plan.composition)])
        drawing = dataclasses.replace(drawing, condition=condition)

    def compose(state: Path) -> Iterable[Pixels]:
        if plan.composition == models.size:
            return [drawing.draw()]
        return compose_side_by_side(drawing, plan.composition, state, boxes=boxes)

    with unfinished(path, _depends(facts, plan, models.config)) as folder:
        begin = partial(compose, folder / "composition")
        bands = draw_by_plan(plan, begin, enlarger, folder, "draw")
        return write_picture(path, large.size, bands, facts)


def _enlarger_of(large: LargeImage, drawing: Drawing, plan: Plan) -> Enlarger:
    other = large.enlarger
    return Enlarger(
        models=other or drawing.models,
        tiling=large.tiling,
        colour=large.colour,
        strength=large.strength,
        seed=drawing.seed,
        condition=condition_for(other, drawing) if other else drawing.condition,
        boxes=boxes_for(other or drawing.models, drawing, plan.shown_parts[0]),
    )


def write_enlargement(
    large: LargeImage,
    models: LoadedModels,
    picture: Pixels,
    seed: int,
    condition: GuidedCondition | None,
    path: Path,
    facts: Mapping[str, Any],
) -> str:
    """Enlarge an image and write it.

    Args:
        large: What is asked for.
        models: The models.
        picture: uint8 (H, W, 3).
        seed: Of the noise.
        condition: Of `condition_of_enlargement`.
        path: Ends in .png, .tif or .tiff.
        facts: For its provenance.

    Returns:
        The sha256 of its pixels.
    """
    plan = large.plan_enlargement(models, picture)
    enlarger = Enlarger(
        models=models,
        tiling=large.tiling,
        colour=large.colour,
        strength=large.strength,
        seed=seed,
        condition=condition,
    )
    with unfinished(path, _depends(facts, plan, models.config)) as folder:
        bands = draw_by_plan(plan, lambda: [picture], enlarger, folder, "upscale")
        return write_picture(path, large.size, bands, facts)


def condition_of_enlargement(
    models: LoadedModels, seed: int
) -> tuple[GuidedCondition | None, dict[str, Any]]:
    """Return what a user's image is said to show in all rounds: no text, whatever the prompts of
    the params, no boxes, or the class of the seed.

    Returns:
        The condition, with one row; None for a model that needs none. And what the image's
        provenance says of it.
    """
    conditioning = models.networks.conditioning
    if isinstance(models.task, SuperResolutionTask):
        return None, {}
    if isinstance(conditioning, Prompts):
        return GuidedCondition(conditioning.task.condition_of_texts([EMPTY])), {}
    origin = {} if isinstance(conditioning, Layouts) else conditioning.origin(seed)
    return GuidedCondition(conditioning.condition([seed]).shown), origin


def _depends(facts: Mapping[str, Any], plan: Plan, config: SampleConfig) -> dict[str, Any]:
    """Everything that an image depends on: work begun by another version is not resumed. The
    settings are those of its prompt, which may be guided where the params are not."""
    own = {"plan": str(plan), "settings": settings_of(config)}
    return dict(facts) | own | {"version": [__version__, versions()["sample"]]}
