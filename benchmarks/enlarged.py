"""How many photographs the rule `enlarged` drops, and how many enlarged copies of them it finds.

    .venv/bin/python benchmarks/enlarged.py --pictures FOLDER --json

FOLDER is filled by benchmarks/picture_packages.py. Each photograph is cropped to 2048 x 1024, or
to 1024 x 512 if it is too small for that. Its copies are reduced and enlarged again by the same
factor, by cubic interpolation, and saved as JPEGs of quality 88. Some of the photographs, most of
all the old ones in `gcompris`, may have been enlarged before.
"""

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.picture_packages import pictures
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.machine import machine
from benchmarks.shared.markdown import table_lines
from pdm import params
from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.judge import finished_crop
from pdm.curation.curate.scores import focus, origin
from pdm.curation.curate.scores.measure import luma_of
from pdm.data.pixels import Pixels

SIZES = ((2048, 1024), (1024, 512))
FACTORS = (1.5, 2.0, 3.0)
COPY_QUALITY, STRONG_QUALITY = 88, 60

Found = dict[str, bool]


def main() -> None:
    parser = argparse.ArgumentParser(description="Photographs lost, enlarged copies found.")
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    config = params.load(ROOT / "params.yaml").curate
    found = defaultdict(list)
    for each in pictures(args.pictures):
        crop = _crop(each.path, config) if each.kind == "photograph" else None
        if crop is not None:
            found[each.source].append(
                {name: _is_enlarged(one, config) for name, one in _versions(crop)}
            )
    print(_table(found))
    if args.json:
        every = [one for some in found.values() for one in some]
        shares = {name: float(np.mean([one[name] for one in every])) for name in every[0]}
        shares = {"photographs_lost": shares.pop("as it is"), **shares}
        print(json.dumps(shares | {"photographs": len(every), "machine": machine()}))


def _crop(path: Path, config: CurateConfig) -> Pixels | None:
    """The finished crop, of the largest of `SIZES` that the picture has; None if it has none."""
    for width_px, height_px in SIZES:
        crop = finished_crop(
            path.read_bytes(), replace(config, width_px=width_px, height_px=height_px)
        )
        if crop is not None and crop.shape[:2] == (height_px, width_px):
            return np.ascontiguousarray(crop)
    return None


def _versions(crop: Pixels) -> Iterator[tuple[str, Pixels]]:
    yield "as it is", crop
    yield f"at quality {STRONG_QUALITY}", _saved(Image.fromarray(crop), STRONG_QUALITY)
    for factor in FACTORS:
        image = Image.fromarray(crop)
        small = image.resize((round(image.width / factor), round(image.height / factor)))
        yield f"enlarged {factor:g}", _saved(small.resize(image.size), COPY_QUALITY)


def _saved(image: Image.Image, quality: int) -> Pixels:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _is_enlarged(crop: Pixels, config: CurateConfig) -> bool:
    luma = luma_of(crop)
    sharpness = focus.sharpness(*focus.edges(luma))
    repetition = origin.repetition(origin.profiles(luma))
    is_soft = focus.high_frequency(luma, sharpness) < config.min_high_frequency
    return is_soft or repetition > config.max_repetition


def _table(found: dict[str, list[Found]]) -> str:
    every = [one for some in found.values() for one in some]
    names = list(every[0])
    rows = [
        (source, str(len(some)), *(str(sum(one[name] for one in some)) for name in names))
        for source, some in [*sorted(found.items()), ("all", every)]
    ]
    return "\n".join(table_lines(("photographs of", "number", *names), rows))


if __name__ == "__main__":
    main()
