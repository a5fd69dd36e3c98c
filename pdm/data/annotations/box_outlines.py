"""Draws boxes and the names of their classes over a picture, for people to look at."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from pdm.data.annotations.boxes import LabelledBox
from pdm.data.pixels import Pixels
from pdm.data.sheets import SMALL_PX

TEXT_PX = 10


def outline_boxes(picture: Pixels, boxes: Sequence[LabelledBox]) -> Pixels:
    """Draw boxes over a copy of a picture (H, W, 3); a small one is enlarged, so that names fit.

    A class has the same colour in every picture.
    """
    scale = max(1, SMALL_PX // picture.shape[1])
    image = Image.fromarray(np.ascontiguousarray(picture))
    width, height = scale * image.width, scale * image.height
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT_PX)
    for box in sorted(boxes, key=lambda box: -box.area):
        left, top = round(box.x * (width - 1)), round(box.y * (height - 1))
        right, bottom = (
            round((box.x + box.width) * (width - 1)),
            round((box.y + box.height) * (height - 1)),
        )
        colour = _colour_of(box.class_name)
        draw.rectangle((left, top, right, bottom), outline=colour)
        place = left + 2, min(top + 1, height - TEXT_PX - 2)
        draw.text(
            place, box.class_name, fill=colour, font=font, stroke_width=1, stroke_fill="black"
        )
    return np.asarray(image)


def _colour_of(class_name: str) -> tuple[int, ...]:
    """A bright colour that follows from the name."""
    hue = int.from_bytes(hashlib.blake2b(class_name.encode(), digest_size=2).digest()) % 360
    return ImageColor.getrgb(f"hsl({hue}, 100%, 70%)")
