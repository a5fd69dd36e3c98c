"""The contact sheet of samples: the first of them on one image, reduced if they are large."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pdm.data.annotations.box_outlines import outline_boxes
from pdm.data.annotations.boxes import layout_from_record
from pdm.data.pillow import Image
from pdm.data.pixels import Pixels
from pdm.data.sheets import contact_sheet, split_into_rows
from pdm.inference.sample.parts import Row

SHEET_PICTURES = 48  # on the sheet: the first
SHEET_SIDE_PX = 512  # longer side of an image on it, at most


def write_sheet(folder: Path, rows: Sequence[Row], num_prompts: int) -> None:
    """Write `contact-sheet.png`.

    Args:
        folder: Of the images.
        rows: Of all images, as in `samples.json`.
        num_prompts: Each has a row of the sheet, if there are few; 0 for none.
    """
    pictures = [_thumbnail(folder / row["file"], row) for row in rows[:SHEET_PICTURES]]
    sheet = contact_sheet(_rows_of_sheet(pictures, num_prompts))
    sheet.save(folder / "contact-sheet.png")


def _rows_of_sheet(pictures: list[Pixels], num_prompts: int) -> Sequence[Sequence[Pixels]]:
    """The rows of the sheet: one for each prompt, if there are few."""
    if 0 < num_prompts < len(pictures):
        return [pictures[first::num_prompts] for first in range(num_prompts)]
    return split_into_rows(pictures)


def _thumbnail(path: Path, row: Row) -> Pixels:
    """An image for the sheet, with the boxes that it was drawn from."""
    with Image.open(path) as file:
        if max(file.size) > SHEET_SIDE_PX:  # within Pillow, without a copy of a large image
            file.thumbnail((SHEET_SIDE_PX, SHEET_SIDE_PX))
        pixels = np.asarray(file)
    if "layout" not in row:
        return pixels
    return outline_boxes(pixels, layout_from_record(row["layout"]).boxes)
