"""Small crops for comparisons of quality: of a folder of pictures, and of the built-in landscapes.

Pictures, not crops, are held out, so that no part of a held-out one was ever trained on. All is
drawn from fixed seeds: every design and every machine sees the same crops.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pdm.curation.scrape.drawing.landscapes import draw
from pdm.data.pixels import Pixels

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
HELD_OUT_SHARE = 0.25  # of the pictures
LANDSCAPE_PX = (640, 360)


@dataclass(frozen=True)
class Crops:
    """Of one source, uint8 (N, side, side, 3)."""

    train: Pixels
    unseen: Pixels  # of the same pictures, but not to be trained on
    held_out: Pixels  # of other pictures


CropsBySource = dict[str, Crops]


def cut_once(
    path: Path,
    photographs: Sequence[Path],
    side_px: int,
    num_train: int,
    num_held_out: int,
    num_unseen: int,
    reduced_px: int | None = None,
) -> Path:
    """Cut crops into a file, unless it is there; landscapes are a hundredth of the crops."""
    if not path.exists():
        numbers = (max(4, num_train // 100), side_px, num_train, max(4, num_held_out), num_unseen)
        save(crops(photographs, *numbers, reduced_px), path)
    return path


def pictures_in(folder: Path | None) -> list[Path]:
    """The picture files of a folder, without its subfolders; none if there is no folder."""
    if folder is None:
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def save(found: CropsBySource, path: Path) -> None:
    """Write one file for `load`."""
    parts = {
        f"{source}/{name}": pixels
        for source, one in found.items()
        for name, pixels in dataclasses.asdict(one).items()
    }
    np.savez(path, **parts)


def load(path: Path) -> CropsBySource:
    """What `save` wrote."""
    by_source: dict[str, dict[str, Pixels]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            source, name = key.split("/")
            by_source.setdefault(source, {})[name] = arrays[key]
    return {source: Crops(**parts) for source, parts in by_source.items()}


def crops(
    photographs: Sequence[Path],
    num_landscapes: int,
    side_px: int,
    num_train: int,
    num_held_out: int,
    num_unseen: int = 0,
    reduced_px: int | None = None,
) -> CropsBySource:
    """Cut crops of every size from `side_px` to the whole picture, reduced to `side_px`.

    Args:
        photographs: Files, near duplicates of each other left out; none for landscapes alone.
        num_landscapes: Built-in ones.
        side_px: Of a crop.
        num_train: In all; each source has an equal share.
        num_held_out, num_unseen: For each source.
        reduced_px: Larger photographs are reduced to this shorter side first, so that small crops
            still show things and many photographs fit into memory; None: not.
    """
    sources = {"landscapes": _landscapes(num_landscapes)}
    if photographs:
        sources["photographs"] = list(_opened(photographs, side_px, reduced_px))
    found = {}
    for number, (name, pictures) in enumerate(sorted(sources.items())):
        random = np.random.default_rng([7, number])
        pictures = [pictures[place] for place in random.permutation(len(pictures))]
        count = max(1, round(HELD_OUT_SHARE * len(pictures)))
        held_out = _cut(pictures[:count], num_held_out, side_px, random)
        train = _cut(pictures[count:], num_train // len(sources), side_px, random)
        unseen = _cut(pictures[count:], num_unseen, side_px, random)
        found[name] = Crops(train, unseen, held_out)
    return found


def _landscapes(count: int) -> list[Image.Image]:
    return [Image.fromarray(draw(0, index, *LANDSCAPE_PX)) for index in range(count)]


def _opened(paths: Sequence[Path], side_px: int, reduced_px: int | None) -> Iterator[Image.Image]:
    """All that hold a crop."""
    for path in paths:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        shorter = min(picture.size)
        if reduced_px is not None and shorter > reduced_px:
            size = tuple(round(side * reduced_px / shorter) for side in picture.size)
            picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        if shorter >= side_px:
            yield picture


def _cut(
    pictures: list[Image.Image], count: int, side_px: int, random: np.random.Generator
) -> Pixels:
    """Crops of the pictures in turn."""
    found = np.empty((count, side_px, side_px, 3), np.uint8)
    for number in range(count):
        picture = pictures[number % len(pictures)]
        longest = min(picture.size)
        side = round(side_px * (longest / side_px) ** random.uniform())
        left, top = (int(random.integers(0, length - side + 1)) for length in picture.size)
        box = (left, top, left + side, top + side)
        crop = picture.resize((side_px, side_px), Image.Resampling.LANCZOS, box)
        found[number] = np.asarray(crop)
    return found
