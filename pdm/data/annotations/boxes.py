"""Boxes around what a picture shows, each with the name of its class.

A box is an object of JSON, in one of two forms:

    {"class": "boat", "x": 0.1, "y": 0.5, "width": 0.3, "height": 0.2}    shares of the picture
    {"class": "boat", "bbox": [205, 512, 614, 205]}                       pixels, as in COCO

x and y are those of the top-left corner of the upright picture. With `"picture_px": [2048, 1024]`
pixels are those of a picture of that width and height, and this one may be a reduced copy. A layout
is a list of boxes, and the part of its source that the picture shows. In shards boxes are in the
picture's `key.json`, as shares of the crop.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pdm.counts import counted

Edges = tuple[float, float, float, float]  # left, top, right, bottom: shares of a picture

WHOLE: Edges = (0.0, 0.0, 1.0, 1.0)
KEY = "boxes"  # in records, decisions and raw rows; absent or null for none
LEFT_OUT = "boxes_left_out"  # in the summary of the raw shards: counts by reason; absent for none
FACT = "boxes"  # in manifests and model folders: classes and typical crop; absent without boxes
SHARES = ("x", "y", "width", "height")
PICTURE = "picture_px"  # of a box in pixels: width and height of the picture that they are of
# Of a box, what must be in the crop: less of a thing is seldom recognised as that thing.
MIN_BOX_SHARE = 0.25
ANY_SIZE = (2**40, 2**40)  # of a picture that is not known yet: checks all but the border
ROUNDING = 1e-3  # share by which a box may reach over the border
DIGITS = 5


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box within the picture, with shares of its width and height."""

    class_name: str
    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Share of the picture that it covers."""
        return self.width * self.height

    def as_record(self) -> dict[str, Any]:
        """Describe it as JSON."""
        return {"class": self.class_name} | {
            name: round(getattr(self, name), DIGITS) for name in SHARES
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands where in a picture.

    Args:
        boxes: In any order.
        crop: The part of its source that the picture shows.
    """

    boxes: tuple[LabelledBox, ...] = ()
    crop: Edges = WHOLE

    def mirrored(self) -> "Layout":
        """The layout of the mirrored picture."""
        boxes = tuple(replace(box, x=1 - box.x - box.width) for box in self.boxes)
        left, top, right, bottom = self.crop
        return Layout(boxes, (1 - right, top, 1 - left, bottom))

    def as_record(self) -> dict[str, Any]:
        """Describe it as JSON."""
        return {KEY: [box.as_record() for box in self.boxes], "crop": list(self.crop)}


def layout_from_record(record: Mapping[str, Any]) -> Layout:
    """Restore a layout from `Layout.as_record`."""
    left, top, right, bottom = record["crop"]
    return Layout(parse_boxes(record[KEY]), (left, top, right, bottom))


def layout_of_sample(record: Mapping[str, Any]) -> Layout:
    """The layout of a sample of the shards, by its `key.json`."""
    if "crop" not in record:
        return Layout(parse_boxes(record.get(KEY) or ()))
    crop = (record["crop"][f"{name}_px"] for name in ("left", "top", "width", "height"))
    size = record["original_width_px"], record["original_height_px"]
    return Layout(parse_boxes(record.get(KEY) or ()), edges_of(tuple(crop), size))


def edges_of(rectangle: Sequence[float], size: tuple[int, int]) -> Edges:
    """Return left, top, width and height in pixels as shares of a picture of (width, height)."""
    left, top, width, height = rectangle
    across, down = size
    edges = left / across, top / down, (left + width) / across, (top + height) / down
    first, second, third, fourth = (round(edge, DIGITS) for edge in edges)
    return first, second, third, fourth


def names_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of the boxes, in a manifest or in a model folder's facts."""
    return tuple(facts.get(FACT, {}).get("classes", ()))


def typical_crop(facts: Mapping[str, Any]) -> Edges:
    """The crop of most pictures of the data, in a manifest or in a model folder's facts."""
    left, top, right, bottom = facts.get(FACT, {}).get("crop", WHOLE)
    return left, top, right, bottom


def parse_boxes(value: object, size: tuple[int, int] | None = None) -> tuple[LabelledBox, ...]:
    """Read a list of boxes; what reaches over the border of the picture is cut off.

    Args:
        value: As in JSON.
        size: Width and height of the picture, for boxes in pixels. None: there is none, and only
            shares, and pixels of a picture of a stated size, can be used.

    Raises:
        ValueError: It is not a list of boxes, or one of them does not fit; the text says which.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("it is not a list of boxes")
    return tuple(_parse_box(number, one, size) for number, one in enumerate(value, 1))


def decode_boxes(text: str, size: tuple[int, int] | None = None) -> tuple[LabelledBox, ...]:
    """Read boxes from JSON; arguments and errors as for `parse_boxes`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    return parse_boxes(value, size)


def crop_boxes(
    boxes: Sequence[LabelledBox], crop: Edges, *, or_of_crop: bool = False
) -> tuple[tuple[LabelledBox, ...], int]:
    """Cut boxes to a crop of their picture.

    Args:
        boxes: As shares of the picture.
        crop: May reach beyond the picture.
        or_of_crop: Also keep boxes that fill at least `MIN_BOX_SHARE` of the crop. A small part of
            a picture may show little of a large thing, and nothing else.

    Returns:
        Those that are in it by at least `MIN_BOX_SHARE`, as shares of the crop; and the number of
        the others.
    """
    left, top, right, bottom = crop
    across, down = right - left, bottom - top
    kept = []
    for box in boxes:
        x, end_x = max(box.x, left), min(box.x + box.width, right)
        y, end_y = max(box.y, top), min(box.y + box.height, bottom)
        seen = max(0.0, end_x - x) * max(0.0, end_y - y)
        whole = min(box.area, across * down) if or_of_crop else box.area
        if seen > 0 and seen >= MIN_BOX_SHARE * whole:
            shares = (x - left) / across, (y - top) / down, (end_x - x) / across, (end_y - y) / down
            kept.append(LabelledBox(box.class_name, *shares))
    return tuple(kept), len(boxes) - len(kept)


def describe_left_out(counts: Mapping[str, int]) -> str:
    """One line on boxes that a source has but no picture gets, by reason, such as "3 boxes were
    left out: 2 around a crowd, 1 empty"."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    reasons = ", ".join(f"{count:,} {why}" for why, count in ranked)
    total = sum(counts.values())
    return f"{counted(total, 'box was', 'boxes were')} left out: {reasons}"


def _parse_box(number: int, value: object, size: tuple[int, int] | None) -> LabelledBox:
    where = f"box {number}"
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} is {value!r}, not an object with class and x, y, width, height")
    name = value.get("class")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{where} has the class {name!r}; a name is needed")
    name = " ".join(name.split())
    x, y, width, height = _shares_of(f"{where} ({name})", value, size)
    if width <= 0 or height <= 0:
        raise ValueError(f"{where} ({name}) is {width:g} wide and {height:g} high, so it is empty")
    if min(x, y) < -ROUNDING or max(x + width, y + height) > 1 + ROUNDING:
        raise ValueError(
            f"{where} ({name}) reaches from {x:g}, {y:g} to {x + width:g}, {y + height:g} of the "
            "image; shares are from 0 to 1"
        )
    left, top = max(x, 0.0), max(y, 0.0)
    return LabelledBox(name, left, top, min(x + width, 1.0) - left, min(y + height, 1.0) - top)


def _shares_of(
    where: str, value: Mapping[str, Any], size: tuple[int, int] | None
) -> tuple[float, float, float, float]:
    """Read the numbers of a box in either form."""
    if "bbox" in value:
        across, down = _picture_of(where, value, size)
        numbers, units = value["bbox"], (across, down, across, down)
    else:
        numbers, units = [value.get(name) for name in SHARES], (1, 1, 1, 1)
    if not is_numbers(numbers, 4):
        form = "bbox: [x, y, width, height]" if "bbox" in value else "x, y, width and height"
        raise ValueError(f"{where} has {numbers!r}; it needs the numbers {form}")
    x, y, width, height = (one / unit for one, unit in zip(numbers, units, strict=True))
    return x, y, width, height


def _picture_of(
    where: str, value: Mapping[str, Any], size: tuple[int, int] | None
) -> tuple[float, float]:
    """Width and height of the picture that a box in pixels is of: as it says, or `size`."""
    if PICTURE not in value:
        if size is None:
            raise ValueError(f"{where} has a bbox in pixels; give x, y, width, height as shares")
        return size
    stated = value[PICTURE]
    if not is_numbers(stated, 2) or min(stated) <= 0:
        raise ValueError(
            f"{where} has {PICTURE} {stated!r}; it needs [width, height] of the image, in pixels"
        )
    across, down = map(float, stated)
    if size is not None and size != ANY_SIZE and not _is_copy(size, (across, down)):
        raise ValueError(
            f"{where} is of an image of {across:g}x{down:g}, but this one, upright, is "
            f"{size[0]}x{size[1]}, which is another shape"
        )
    return across, down


def _is_copy(size: tuple[int, int], stated: tuple[float, float]) -> bool:
    """Whether a picture may be a reduced or enlarged copy of another, with sides rounded."""
    (width, height), (across, down) = size, stated
    return min(abs(width * down / across - height), abs(height * across / down - width)) <= 1


def is_numbers(value: object, count: int) -> bool:
    """Whether a value of JSON is a list of `count` finite numbers."""
    return isinstance(value, list) and len(value) == count and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # `math.isfinite` fails on a whole number too large for a float, which JSON may have.
    return abs(value) <= sys.float_info.max
