"""Small crops for comparisons of quality: of a folder of pictures, and of the built-in landscapes.

Pictures, not crops, are held out, so that no part of a held-out one was ever trained on. All is
drawn from fixed seeds: every design and every machine sees the same crops.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.curation.scrape.drawing.landscapes import draw

Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
HELD_OUT_SHARE = 0.25  # of the pictures
LANDSCAPE_PX = (640, 360)


@dataclass(frozen=True)
class Crops:
    """uint8 (N, side, side, 3), to train on and held out."""

    train: Pixels
    held_out: dict[str, Pixels]  # by where they are from

    def save(self, path: Path) -> None:
        np.savez(path, train=self.train, **self.held_out)

    @classmethod
    def load(cls, path: Path) -> "Crops":
        with np.load(path) as arrays:
            held_out = {name: arrays[name] for name in arrays.files if name != "train"}
            return cls(arrays["train"], held_out)


def crops(
    folder: Path | None, num_landscapes: int, side_px: int, num_train: int, num_held_out: int
) -> Crops:
    """Cut crops of every size from `side_px` to the whole picture, reduced to `side_px`.

    Args:
        folder: Of pictures, near duplicates of each other left out; None for landscapes alone.
        num_landscapes: Built-in ones.
        num_train: In all; each source has an equal share.
        num_held_out: For each source.
    """
    sources = {"landscapes": _landscapes(num_landscapes)}
    if folder is not None:
        sources["photographs"] = _folder(folder)
    train, held_out = [], {}
    for number, (name, pictures) in enumerate(sorted(sources.items())):
        random = np.random.default_rng([7, number])
        pictures = [pictures[place] for place in random.permutation(len(pictures))]
        count = max(1, round(HELD_OUT_SHARE * len(pictures)))
        held_out[name] = _cut(pictures[:count], num_held_out, side_px, random)
        train.append(_cut(pictures[count:], num_train // len(sources), side_px, random))
    return Crops(np.concatenate(train), held_out)


def _landscapes(count: int) -> list[Image.Image]:
    return [Image.fromarray(draw(0, index, *LANDSCAPE_PX)) for index in range(count)]


def _folder(folder: Path) -> list[Image.Image]:
    return list(_opened(sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)))


def _opened(paths: list[Path]) -> Iterator[Image.Image]:
    for path in paths:
        with Image.open(path) as file:
            yield file.convert("RGB")


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
        found[number] = picture.resize((side_px, side_px), Image.Resampling.LANCZOS, box)
    return found
