"""Draws grids of pictures: samples next to held-out pictures, samples next to their nearest
training pictures, and held-out pictures decoded from more and more levels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pdm.data.pixels import Pixels
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.inputs.pictures import PictureSets
from pdm.evaluation.memorisation.measure import Memorisation
from pdm.evaluation.reconstruction import SHOWN_PX, PrefixMeasures, reduce_width

CELL_WIDTH_PX = SHOWN_PX  # approximate width of a picture on a page
TITLE_PX = 30
MARGIN_PX = 6
FONT_PX = 10
NUM_SIDE_BY_SIDE = 16

Cell = tuple[Pixels, str]


def write_image_grids(
    folder: Path,
    sets: PictureSets,
    copies: Memorisation,
    prefixes: Sequence[PrefixMeasures],
    num_neighbours: int,
) -> None:
    """Write `nearest-neighbours.png`, `samples-and-held-out.png` and `reconstructions.png`.

    Args:
        folder: Existing folder.
        sets: Samples, held-out and training pictures.
        copies: Nearest training pictures of the samples.
        prefixes: Reconstructions of the held-out pictures, by number of decoded levels.
        num_neighbours: Samples shown with their neighbours, those nearest to training first.
    """
    samples, val, train = sets
    nearest = _neighbour_rows(samples, train, copies, num_neighbours)
    _write_grid(folder / "nearest-neighbours.png", nearest)
    _write_grid(folder / "samples-and-held-out.png", _side_by_side_rows(samples, val))
    _write_grid(folder / "reconstructions.png", _reconstruction_rows(val, prefixes))


def _neighbour_rows(
    samples: PictureSet, train: PictureSet, copies: Memorisation, count: int
) -> list[list[Cell]]:
    """One row for each sample: the sample, its nearest by features, its nearest by pixels."""
    rows = []
    for index in copies.closest(count):
        row = [(samples.load(index), f"sample {samples.keys[index]}")]
        for name, nearest, held_out in (
            ("features", copies.samples_by_features, copies.val_by_features),
            ("pixels", copies.samples_by_pixels, copies.val_by_pixels),
        ):
            distance, median = nearest.distances[index], np.median(held_out.distances)
            place = nearest.indices[index]
            title = f"nearest by {name}: {distance:.3f} (held-out median: {median:.3f})"
            row.append((train.load(place), f"{title}\ntraining: {train.keys[place]}"))
        rows.append(row)
    return rows


def _side_by_side_rows(samples: PictureSet, val: PictureSet) -> list[list[Cell]]:
    """Two columns of samples, two of held-out pictures."""
    halves = []
    for pictures, name in ((samples, "sample"), (val, "held-out:")):
        count = min(len(pictures), NUM_SIDE_BY_SIDE)
        cells = [(pictures.load(index), f"{name} {pictures.keys[index]}") for index in range(count)]
        halves.append([cells[start : start + 2] for start in range(0, count, 2)])
    num_rows = min(len(half) for half in halves)
    return [left + right for left, right in zip(*(half[:num_rows] for half in halves), strict=True)]


def _reconstruction_rows(val: PictureSet, prefixes: Sequence[PrefixMeasures]) -> list[list[Cell]]:
    """One row for each picture: decoded from one level, two, ..., all; then the original."""
    rows = []
    for index in range(len(prefixes[0].shown)):
        row = [
            (prefix.shown[index], f"{count} of {len(prefixes)} levels")
            for count, prefix in enumerate(prefixes, start=1)
        ]
        original = reduce_width(val.load(index))
        rows.append([*row, (original, f"held-out: {val.keys[index]}")])
    return rows


def _write_grid(path: Path, rows: list[list[Cell]]) -> None:
    """Write a grid of pictures with titles. Small ones are enlarged by an integer factor."""
    height, width = rows[0][0][0].shape[:2]
    scale = max(1, CELL_WIDTH_PX // width)
    size = (
        (width * scale, height * scale)
        if width <= CELL_WIDTH_PX
        else (CELL_WIDTH_PX, round(height * CELL_WIDTH_PX / width))
    )
    step = (size[0] + MARGIN_PX, size[1] + TITLE_PX)
    num_columns = max(len(row) for row in rows)
    page = Image.new(
        "RGB", (num_columns * step[0] + MARGIN_PX, len(rows) * step[1] + MARGIN_PX), "white"
    )
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(FONT_PX)
    enlarge = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    for row, cells in enumerate(rows):
        for column, (picture, title) in enumerate(cells):
            x, y = column * step[0] + MARGIN_PX, row * step[1]
            top = y + TITLE_PX - (title.count("\n") + 1) * (FONT_PX + 3)
            draw.multiline_text((x, top), title, fill="black", font=font, spacing=2)
            page.paste(Image.fromarray(picture).resize(size, enlarge), (x, y + TITLE_PX))
    page.save(path, "PNG")
