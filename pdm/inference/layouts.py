"""The layouts of the stage `sample`, and of `pyramid draw`: what stands where in which image.

A file of layouts is JSON: a list of boxes is one layout, a list of layouts are several. A box is

    {"class": "boat", "x": 0.1, "y": 0.5, "width": 0.3, "height": 0.2}

with shares of the image; x and y are those of its top-left corner
(`pdm.data.annotations.boxes`). Where the size of the image is named, `bbox` may have its pixels
instead. A layout may also be an object with `boxes` and `crop`, as samples.json has it.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.config.stages.sample import SampleConfig
from pdm.config.task import LayoutTask
from pdm.data.annotations.boxes import KEY, Layout, layout_of_sample, parse_boxes
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput, why
from pdm.files import check_sha256
from pdm.inference.conditioning import GuidedCondition
from pdm.model_record import record_of
from pdm.tasks.find import task_of_model
from pdm.tasks.layout import BoxLayout, without_boxes

logger = logging.getLogger(__name__)

SETTING = "sample.layouts"


@dataclass(frozen=True, slots=True)
class ShownLayout:
    """A layout to draw.

    Args:
        layout: With its crop.
        held_out: Key of the image that it is from; None for a layout of a file.
    """

    layout: Layout
    held_out: str | None = None

    def origin(self) -> dict[str, Any]:
        """Return what an image's provenance says about it."""
        own = {} if self.held_out is None else {"held_out": self.held_out}
        return own | {"layout": self.layout.as_record()}


@dataclass(frozen=True, slots=True)
class Layouts:
    """See `pdm.inference.conditioning.Conditioning`. Images take turns with the layouts.

    Args:
        layouts: In turn.
        task: Makes tokens of them.
        first_seed: Seed of the image with number 0.
    """

    layouts: tuple[ShownLayout, ...]
    task: BoxLayout
    first_seed: int

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return the boxes, and the same crops without boxes."""
        layouts = [self.shown_by(seed).layout for seed in seeds]
        shown = self.task.condition_of_layouts(layouts)
        return GuidedCondition(shown, without_boxes(shown))

    def origin(self, seed: int) -> dict[str, Any]:
        """Return the layout, and the held-out image that it is from."""
        return self.shown_by(seed).origin()

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """The image as it was drawn."""
        return drawn

    def shown_by(self, seed: int) -> ShownLayout:
        """Return the layout of a seed's image."""
        return self.layouts[(seed - self.first_seed) % len(self.layouts)]


def read_layouts(config: SampleConfig, diffusion: Path, shards: Path) -> tuple[ShownLayout, ...]:
    """Read the layouts of the section `sample`; without any, those of held-out images.

    Args:
        config: Section `sample` of the params.
        diffusion: Folder of the diffusion model.
        shards: Of the data.

    Returns:
        The layouts, in the order in which images take turns; () for a model without layouts.

    Raises:
        BadInput: There are layouts for a model that reads none, their file cannot be read, or one
            does not fit the model; or no held-out image has a box.
    """
    record = record_of(diffusion)
    task = task_of_model(record, None)
    if not isinstance(task, LayoutTask):
        if config.layouts is not None:
            raise BadInput(
                f"{SETTING}: {diffusion} was trained for {task.kind}, without boxes; set it to null"
            )
        return ()
    if config.layouts is None:
        return _held_out(shards)
    path = Path(config.layouts.path)
    check_sha256(path, config.layouts.sha256, SETTING)
    found = read_layout_file(path, BoxLayout(task, record), SETTING, config.size)
    return tuple(map(ShownLayout, found))


def read_layout_file(
    path: Path, task: BoxLayout, key: str, size: tuple[int, int] | None = None
) -> tuple[Layout, ...]:
    """Read a file of layouts for a model.

    A layout without a crop gets that of most images of the data. Of more boxes than the model
    reads the smallest are left out, with a warning.

    Args:
        path: Of the file.
        task: Of the model.
        key: What names the file, for errors.
        size: Width and height of the images, for boxes in pixels; None if none is named.

    Raises:
        BadInput: It cannot be read, has no layouts, or one of them has no boxes, a box outside the
            image, or one of a class that the model does not know.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"{key}: {path} cannot be read as JSON ({why(error)}); name a file with a list of boxes"
        ) from error
    if isinstance(value, Mapping) or _is_layout(value):
        value = [value]
    if not isinstance(value, list) or not value:
        raise BadInput(f"{key}: {path} has no layouts; write a list of boxes, or several lists")
    layouts = []
    for number, one in enumerate(value, 1):
        try:
            layouts.append(parse_layout(one, task, size))
        except ValueError as error:
            where = f", layout {number}" if len(value) > 1 else ""
            raise BadInput(f"{key}: {path}{where}: {error}") from error
    _warn_of_many(path, layouts, task.config.max_boxes)
    return tuple(layouts)


def parse_layout(value: object, task: BoxLayout, size: tuple[int, int] | None = None) -> Layout:
    """Read one layout for a model.

    Args:
        value: A list of boxes, or an object with `boxes` and `crop`, as in JSON.
        task: Of the model.
        size: See `read_layout_file`.

    Raises:
        ValueError: It has no boxes, or one that does not fit.
    """
    crop = task.crop
    if isinstance(value, Mapping):
        crop, value = _parse_crop(value.get("crop", list(crop))), value.get(KEY)
    boxes = parse_boxes(value, size)
    if not boxes:
        raise ValueError("it has no boxes; add at least one")
    for number, box in enumerate(boxes, 1):
        if box.class_name not in task.names:
            raise ValueError(
                f"box {number} has the class '{box.class_name}'; the model has "
                f"{', '.join(task.names)}"
            )
    return Layout(boxes, crop)


def _is_layout(value: object) -> bool:
    """Whether a list is one of boxes, not of layouts."""
    return isinstance(value, list) and any(
        isinstance(one, Mapping) and KEY not in one for one in value
    )


def _parse_crop(value: object) -> tuple[float, float, float, float]:
    numbers = value if isinstance(value, list) else []
    if len(numbers) == 4 and all(type(one) in (int, float) for one in numbers):
        left, top, right, bottom = numbers
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return left, top, right, bottom
    raise ValueError(f"its crop is {value!r}, not [left, top, right, bottom] with shares of 0 to 1")


def _warn_of_many(path: Path, layouts: Sequence[Layout], most: int) -> None:
    num_left_out = sum(max(0, len(one.boxes) - most) for one in layouts)
    if num_left_out:
        logger.warning(
            "%s has layouts with more than %d boxes, the most that the model reads: the smallest "
            "of each, %d in all, are left out",
            *(path, most, num_left_out),
        )


def _held_out(shards: Path) -> tuple[ShownLayout, ...]:
    """The layout of each held-out image that has boxes."""
    images = ImageShards(shards, "val")
    found = (
        ShownLayout(layout_of_sample(images.record(number)), images.keys[number])
        for number in images.in_turn
    )
    shown = tuple(one for one in found if one.layout.boxes)
    if not shown:
        raise BadInput(
            f"{SETTING} is null, but no held-out image has a box; name a file of layouts"
        )
    return shown
