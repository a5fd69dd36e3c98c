"""Small copies of pictures for the report, made on the workers from the raw tars."""

import base64
import io
from pathlib import Path

import ray
from PIL import Image

from pdm.data.decisions import Row
from pdm.data.pixels import Unreadable, decode
from pdm.data.tars import read_at

SIDE_PX = 360  # of the square that a thumbnail fits into
QUALITY = 78
IMAGES_PER_TASK = 8
NO_PICTURE = ("unreadable", "too_many_pixels", "damaged")  # reasons that leave nothing to show


def thumbnails(rows: list[Row], raw: Path) -> dict[str, str]:
    """A `data:` URL of each row's upright picture, by key; rows without a picture are absent."""
    shown = [row for row in rows if row["tar"] and row["sha256"] and _has_picture(row)]
    starts = range(0, len(shown), IMAGES_PER_TASK)
    make = ray.remote(num_cpus=1)(_thumbnails)
    tasks = [make.remote(shown[start : start + IMAGES_PER_TASK], raw) for start in starts]
    return {key: url for made in ray.get(tasks) for key, url in made.items()}


def _has_picture(row: Row) -> bool:
    return row["offset"] is not None and row["reason"] not in NO_PICTURE


def _thumbnails(rows: list[Row], raw: Path) -> dict[str, str]:
    made = {}
    for row in rows:
        try:
            pixels = decode(read_at(raw / row["tar"], row["offset"], row["size"]))
        except Unreadable:
            continue  # shown without a picture; its row in the report says why
        image = Image.fromarray(pixels)
        image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "jpeg", quality=QUALITY)
        made[row["key"]] = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return made
