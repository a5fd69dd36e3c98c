"""Reads the folder written by the stage `sample`, and refuses it if it was changed.

Scores must be those of the pictures that the model drew. So each picture's pixels are compared with
their digest in `samples.json` when it is read, and the folder must contain only listed files.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.counts import counted
from pdm.data.pixels import Pixels
from pdm.data.provenance import pixels_sha256
from pdm.errors import BadInput
from pdm.evaluation.features.picture_sets import PictureSet, decode

logger = logging.getLogger(__name__)

LIST = "samples.json"
# Other files of the stage `sample`; everything else that is not listed is a leftover.
OTHER_FILES = {LIST, "contact-sheet.png", "full-size", "previews"}


@dataclass(frozen=True, slots=True)
class ListedSample:
    """An entry of `samples.json`."""

    file: str
    seed: int
    pixels_sha256: str
    size: tuple[int, int] | None  # (H, W); None where all samples have one size


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSet(PictureSet):
    """The pictures of a folder, by ascending seed, with their entries in the list."""

    listed: tuple[ListedSample, ...]
    seeds: tuple[int, ...]  # of all samples of the folder, ascending

    @property
    def num_repeated(self) -> int:
        """Number of samples that equal one of a lower seed, pixel for pixel."""
        return len(self.listed) - len({sample.pixels_sha256 for sample in self.listed})

    @property
    def num_missing_seeds(self) -> int:
        """Number of seeds between the lowest and the highest without a sample."""
        return self.seeds[-1] - self.seeds[0] + 1 - len(self.seeds)


def listed_sizes(folder: Path) -> list[tuple[int, int]]:
    """(H, W) of the sizes that `samples.json` states, in the order of their first samples; none if
    all samples have one size.

    Raises:
        BadInput: The list is missing or damaged.
    """
    sizes = [sample.size for sample in _read_list(folder / LIST) if sample.size]
    return list(dict.fromkeys(sizes))


def read_samples(folder: Path, size: tuple[int, int] | None = None) -> SampleSet:
    """Open the pictures that `samples.json` lists, in the order of their seeds.

    With a size (H, W): only those that the list says have it.

    Each is checked when it is loaded. Loading raises BadInput if a picture is damaged, has another
    size than the first, or has changed since it was drawn.

    Raises:
        BadInput: The list is missing or damaged, a listed picture is missing, or the folder has a
            file that is not listed, such as a leftover of another run.
    """
    listed = _read_list(folder / LIST)
    _check_files(folder, {sample.file for sample in listed})
    seeds = tuple(sample.seed for sample in listed)
    if size is not None:
        listed = tuple(sample for sample in listed if sample.size == size)
    names = [sample.file for sample in listed]
    shape = _decode_file(folder / names[0]).shape

    def load(index: int) -> Pixels:
        path = folder / names[index]
        picture = _decode_file(path)
        if picture.shape != shape:
            raise BadInput(
                f"{path} is {_size_text(picture)}, {names[0]} is {shape[1]}x{shape[0]}; samples "
                "must have one size"
            )
        if pixels_sha256(picture) != listed[index].pixels_sha256:
            raise BadInput(
                f"the pixels of {path} differ from those listed in {LIST}: the file was changed or "
                "replaced after it was drawn; sample again"
            )
        return picture

    return SampleSet(name="samples", keys=names, load=load, listed=listed, seeds=seeds)


def warn_of_chosen_samples(samples: SampleSet) -> None:
    """Warn of signs that samples were selected: repeated samples, and missing seeds."""
    if samples.num_repeated:
        first_of: dict[str, ListedSample] = {}
        pairs = ((first_of.setdefault(each.pixels_sha256, each), each) for each in samples.listed)
        first, second = next(pair for pair in pairs if pair[0] is not pair[1])
        logger.warning(
            "evaluate: %d of %d samples equal one of another seed, pixel for pixel (%s and %s "
            "first); different seeds should give different images",
            samples.num_repeated,
            len(samples),
            first.file,
            second.file,
        )
    if samples.num_missing_seeds:
        logger.warning(
            "evaluate: %d of the seeds from %d to %d %s no sample; scores of selected samples "
            "say little about the model",
            samples.num_missing_seeds,
            samples.seeds[0],
            samples.seeds[-1],
            "has" if samples.num_missing_seeds == 1 else "have",
        )


def _read_list(path: Path) -> tuple[ListedSample, ...]:
    """Read the list, sorted by seed, since its order must not decide which samples are compared."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        listed = [
            ListedSample(
                str(row["file"]), int(row["seed"]), str(row["pixels_sha256"]), _size_of(row)
            )
            for row in record["samples"]
        ]
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; run the stage 'sample' first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error!r}); sample again") from error
    names = {sample.file for sample in listed}
    if not names or len(names) < len(listed) or any("/" in name for name in names):
        raise BadInput(
            f"{path} lists no samples, or one twice, or one in another folder; sample again"
        )
    if len({sample.seed for sample in listed}) < len(listed):
        raise BadInput(f"{path} lists two samples of the same seed; sample again")
    return tuple(sorted(listed, key=lambda sample: sample.seed))


def _size_of(row: dict[str, Any]) -> tuple[int, int] | None:
    if "width_px" not in row:
        return None
    return int(row["height_px"]), int(row["width_px"])


def _check_files(folder: Path, names: set[str]) -> None:
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if missing := sorted(names - present):
        raise BadInput(
            f"{folder / missing[0]} is listed in {LIST} but does not exist ({len(missing)} missing)"
            "; sample again"
        )
    if leftover := sorted(present - names - OTHER_FILES):
        raise BadInput(
            f"{folder / leftover[0]} is not listed in {LIST} "
            f"({counted(len(leftover), 'such file')}); remove what "
            "another run left there, or sample again"
        )


def _decode_file(path: Path) -> Pixels:
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(f"{path} is not an image that can be read ({error})") from error


def _size_text(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
