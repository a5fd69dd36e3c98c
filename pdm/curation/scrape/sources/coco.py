"""The boxes of all pictures of a folder, in one file: COCO's `instances_*.json`.

    {"images": [{"id": 9, "file_name": "a.jpg", "width": 640, "height": 480}, ...],
     "annotations": [{"image_id": 9, "category_id": 3, "bbox": [x, y, width, height]}, ...],
     "categories": [{"id": 3, "name": "boat"}, ...]}

The format is that of https://cocodataset.org/#format-data. A `bbox` is in pixels of a picture of
the stated width and height. The file is read once, and of each object only what is needed stays in
memory: most of such a file are outlines (`segmentation`).
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdm.counts import counted
from pdm.curation.scrape.entries import Outcome
from pdm.curation.scrape.text import one_line
from pdm.data.annotations.boxes import PICTURE, describe_left_out, is_numbers, parse_boxes
from pdm.errors import BadInput

logger = logging.getLogger(__name__)

LISTS = ("images", "annotations", "categories")
READ = {*LISTS, "id", "name", "file_name", "width", "height"}
READ |= {"image_id", "category_id", "bbox", "iscrowd"}
# Why a box is left out, in the words of the log, the data report and the data card.
NO_PICTURE = "of no image of the folder"
OWN_FILE = "of an image with a file of its own"
CROWD = "around a crowd"
UNKNOWN_CATEGORY = "of an unknown category"
NO_NUMBERS = "without four numbers"
EMPTY = "empty"
OUTSIDE = "reaching out of the image"


@dataclass(slots=True)
class AnnotatedBoxes:
    """Boxes by picture, as JSON, and how many were left out, by reason."""

    boxes: dict[Path, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A picture of the file, with its size in pixels; without a place if the folder has none."""

    file_name: str
    size: list[float]
    place: Path | None


def read_annotations(
    path: Path, root: Path, outcomes: Mapping[Path, Outcome], own: frozenset[Path]
) -> AnnotatedBoxes:
    """Read the boxes of a folder's pictures. What is left out is counted, and the log says so.

    Args:
        path: The file.
        root: The folder; names of files are relative to it.
        outcomes: Of all its files.
        own: Pictures that have a file of boxes of their own, which counts instead.

    Raises:
        BadInput: The file cannot be read or is not in COCO's format, or none of its pictures is
            in the folder.
    """
    content = _read(path)
    usable = {place for place, outcome in outcomes.items() if outcome.status == "ok"}
    listed = _listed_pictures(path, content["images"], root, usable)
    names = _category_names(path, content["categories"])
    absent = [one.file_name for one in listed.values() if one.place is None]
    if len(absent) == len(listed):
        first = f"; the first is {absent[0]!r}" if absent else ""
        raise BadInput(
            f"{path}: none of its {len(listed):,} images is in {root}{first}; set path in "
            "scrape.sources to the folder that file_name is relative to"
        )
    found, by_picture = AnnotatedBoxes(), dict[Path, list[dict[str, Any]]]()
    for annotation in content["annotations"]:
        key = _key(annotation, "image_id")
        picture = None if key is None else listed.get(key)
        if picture is None or picture.place is None:
            found.left_out[NO_PICTURE] += 1
        elif picture.place in own:
            found.left_out[OWN_FILE] += 1
        elif isinstance(box := _box_of(annotation, picture.size, names), str):
            found.left_out[box] += 1
        else:
            by_picture.setdefault(picture.place, []).append(box)
    for place, boxes in by_picture.items():
        found.boxes[place] = json.dumps(boxes, ensure_ascii=False)
    logger.info(
        "scrape: %s: %s of %s with boxes in %s, %s in all",
        *(root, f"{len(by_picture):,}", counted(len(usable), "file"), path),
        f"{sum(map(len, by_picture.values())):,}",
    )
    if absent:
        logger.warning(
            "scrape: %s: %s of its images are not in %s, or cannot be used; the first is %r",
            *(path, f"{len(absent):,}", root, absent[0]),
        )
    if found.left_out:
        logger.warning("scrape: %s: %s", path, describe_left_out(found.left_out))
    return found


def _read(path: Path) -> dict[str, list[Any]]:
    """The lists of the file.

    Raises:
        BadInput: It cannot be read, or one of them is missing.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = json.load(file, object_hook=_without_unread)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); correct boxes in scrape.sources, or create "
            "the file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _not_coco(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise _not_coco(path, f"it is a {type(content).__name__}, not an object")
    missing = [name for name in LISTS if not isinstance(content.get(name), list)]
    if missing:
        raise _not_coco(path, f"it has no list of {', '.join(missing)}")
    return content


def _without_unread(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in value.keys() & READ}


def _listed_pictures(
    path: Path, images: list[Any], root: Path, usable: Set[Path]
) -> dict[int | str, _Listed]:
    """The pictures by their id."""
    found: dict[int | str, _Listed] = {}
    for number, image in enumerate(images, 1):
        key, name = _key(image, "id"), image.get("file_name") if isinstance(image, dict) else None
        if key is None or not isinstance(name, str) or not name:
            raise _not_coco(path, f"image {number} has no id and file_name")
        size = [image.get("width"), image.get("height")]
        if not is_numbers(size, 2) or min(size) <= 0:
            raise _not_coco(path, f"image {number} ({name}) has the width and height {size}")
        if key in found:
            raise _not_coco(path, f"image {number} ({name}) has the id of an earlier one, {key}")
        place = root / name
        found[key] = _Listed(name, size, place if place in usable else None)
    return found


def _category_names(path: Path, categories: list[Any]) -> dict[int | str, str]:
    """The names of the classes by their id."""
    found: dict[int | str, str] = {}
    for number, category in enumerate(categories, 1):
        key, name = _key(category, "id"), None
        if isinstance(category, dict) and isinstance(category.get("name"), str):
            name = one_line(category["name"])
        if key is None or name is None:
            raise _not_coco(path, f"category {number} has no id and name")
        if key in found:
            raise _not_coco(path, f"category {number} ({name}) has the id of an earlier one, {key}")
        found[key] = name
    return found


def _key(value: object, name: str) -> int | str | None:
    """An id; None if there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, int | str) else None


def _box_of(
    annotation: dict[str, Any], size: list[float], names: Mapping[int | str, str]
) -> dict[str, Any] | str:
    """The box of an annotation of a picture of (width, height), or why it is left out."""
    key = _key(annotation, "category_id")
    bbox: Any = annotation.get("bbox")
    if annotation.get("iscrowd"):
        return CROWD
    if key is None or key not in names:
        return UNKNOWN_CATEGORY
    if not is_numbers(bbox, 4):
        return NO_NUMBERS
    if min(bbox[2:]) <= 0:
        return EMPTY
    box = {"class": names[key], "bbox": bbox, PICTURE: size}
    try:
        parse_boxes([box])
    except ValueError:
        return OUTSIDE
    return box


def _not_coco(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} is not a file of boxes in COCO's format (instances_*.json, with images, "
        f"annotations and categories): {why}"
    )
