"""Sheets of what a model of each task draws, beside what it was given."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.parts.tasks.world import World
from pdm.config.sampling.prompts import Prompt
from pdm.config.task import InpaintingTask, SuperResolutionTask
from pdm.data.annotations.box_outlines import outline_boxes
from pdm.data.annotations.maps import UNKNOWN, ClassMap
from pdm.data.pixels import Pixels
from pdm.data.sheets import contact_sheet
from pdm.inference.pictures.draw import draw, drawings_of_layout
from pdm.inference.pictures.guided import Guiding
from pdm.inference.pictures.inpaint import inpaint
from pdm.inference.pictures.paint import paint
from pdm.inference.pictures.upscale import upscale
from pdm.tasks.inpainting import Inpainting
from pdm.tasks.partial_pictures.degradation import degrade, enlarge
from pdm.tasks.partial_pictures.masks import Mask
from pdm.tasks.task import Example

ROWS = 4
GREY = 128
# Of the built-in classes, in their order: sky, water, land, forest, snow.
COLOURS = np.array(
    [(135, 190, 235), (40, 80, 160), (150, 120, 80), (30, 90, 50), (240, 240, 250)], np.uint8
)
PROMPTS = (
    "a mountain lake at sunset",
    "desert dunes in the morning",
    "islands in the sea at night",
    "a snowfield at noon",
)


def free_sheet(world: World) -> Image.Image:
    """New pictures of an unconditional model."""
    seeds = list(range(4 * ROWS))
    pictures = world.models.draw(seeds, world.models.size)
    return contact_sheet([pictures[start : start + 4] for start in range(0, len(seeds), 4)])


def guided_sheet(world: World) -> Image.Image:
    """The small picture, a bicubic filter's enlargement, two seeds guided to it, the true one."""
    guiding = Guiding(4, 1.0)
    rows = []
    for truth in world.held_out[:ROWS]:
        small = _reduce(truth, guiding.factor)
        large = [upscale(world.models, guiding, small, seed) for seed in (0, 1)]
        rows.append([_as_blocks(small, 4), enlarge(small, *truth.shape[:2]), *large, truth])
    return contact_sheet(rows)


def text_sheet(world: World) -> Image.Image:
    """A row for each prompt: four seeds."""
    return contact_sheet(
        [
            [picture for _, picture, _ in draw(world.models, Prompt(text, seed=0), 4)]
            for text in PROMPTS
        ]
    )


def super_resolution_sheet(world: World) -> Image.Image:
    """The small picture, a bicubic filter's enlargement, the model's, and the true picture."""
    task = world.models.task
    assert isinstance(task, SuperResolutionTask)
    rows = []
    for seed, truth in enumerate(world.held_out[:ROWS]):
        small = degrade(truth, task, np.random.default_rng(0))
        large = upscale(world.models, task, small, seed)
        rows.append(
            [_as_blocks(small, task.factor), enlarge(small, *truth.shape[:2]), large, truth]
        )
    return contact_sheet(rows)


def inpainting_sheet(world: World) -> Image.Image:
    """What stays of the picture, two seeds, and the true picture."""
    task = world.models.task
    assert isinstance(task, InpaintingTask)
    rows = []
    for number, truth in enumerate(world.held_out[:ROWS]):
        mask = Inpainting(task).mask(Example(f"row {number}", pixels=truth))
        rows.append([_hide(truth, mask), *inpaint(world.models, truth, mask, [0, 1]), truth])
    return contact_sheet(rows)


def semantic_sheet(world: World) -> Image.Image:
    """The map, two seeds, and the true picture."""
    pairs = zip(world.maps[:ROWS], world.held_out, strict=False)
    return contact_sheet(
        [[_colour(one), *paint(world.models, one, [0, 1]), truth] for one, truth in pairs]
    )


def layout_sheet(world: World) -> Image.Image:
    """Two seeds drawn by the boxes, and the true picture, with the boxes over each of the first and
    the last."""
    rows = []
    for layout, truth in zip(world.layouts[:ROWS], world.held_out, strict=False):
        drawn = [one.draw() for one in drawings_of_layout(world.models, layout, [0, 1])]
        outlined = [outline_boxes(one, layout.boxes) for one in (drawn[0], truth)]
        plain = [outline_boxes(one, ()) for one in drawn]
        rows.append([outlined[0], *plain, outlined[1]])
    return contact_sheet(rows)


def _as_blocks(small: Pixels, factor: int) -> Pixels:
    return small.repeat(factor, axis=0).repeat(factor, axis=1)


def _reduce(picture: Pixels, factor: int) -> Pixels:
    """Means of cells."""
    height, width, _ = picture.shape
    cells = picture.reshape(height // factor, factor, width // factor, factor, 3)
    means: Pixels = cells.mean((1, 3)).round().astype(np.uint8)
    return means


def _hide(picture: Pixels, mask: Mask) -> Pixels:
    hidden: Pixels = np.where(mask[..., None], np.uint8(GREY), picture)
    return hidden


def _colour(class_map: ClassMap) -> Pixels:
    known = np.where(class_map == UNKNOWN, 0, class_map)
    coloured: Pixels = np.where((class_map == UNKNOWN)[..., None], np.uint8(GREY), COLOURS[known])
    return coloured


# Preset of the task, and what draws its sheet. Those without a task share one model.
SHEETS: dict[str, tuple[str | None, Callable[[World], Image.Image]]] = {
    "unconditional": (None, free_sheet),
    "guided": (None, guided_sheet),
    "semantic": ("task-semantic", semantic_sheet),
    "super-resolution": ("task-super-resolution", super_resolution_sheet),
    "inpainting": ("task-inpainting", inpainting_sheet),
    "text": ("task-text", text_sheet),
    "layout": ("task-layout", layout_sheet),
}
