"""Reads the folder that the stage `sample` wrote, and refuses one that was changed since.

Scores are about the pictures that the model drew. So the pixels of each picture are compared with
their digest in `samples.json` whenever it is read, and the folder must hold only the listed files.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.data.marks import pixels_sha256
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.evaluation.features.picture_sets import PictureSet, decode

logger = logging.getLogger(__name__)

LIST = "samples.json"
# What the sample stage writes beside the samples; everything else that is not listed is a leftover.
OTHER_FILES = {LIST, "contact-sheet.png", "full-size", "previews"}


@dataclass(frozen=True, slots=True)
class ListedSample:
    """An entry of `samples.json`."""

    file: str
    seed: int
    pixels_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSet(PictureSet):
    """The pictures of a folder, by rising seed, and what their list says of them."""

    listed: tuple[ListedSample, ...]

    @property
    def num_repeated(self) -> int:
        """Samples that equal one of a lower seed, pixel for pixel."""
        return len(self.listed) - len({sample.pixels_sha256 for sample in self.listed})

    @property
    def num_missing_seeds(self) -> int:
        """Seeds between the lowest and the highest that have no sample."""
        return self.listed[-1].seed - self.listed[0].seed + 1 - len(self.listed)


def read_samples(folder: Path) -> SampleSet:
    """The pictures that `samples.json` lists, in the order of their seeds.

    Each is checked when it is loaded, which raises BadInput if it is damaged, has another size than
    the first, or other pixels than were drawn.

    Raises:
        BadInput: The list is missing or damaged, a listed picture is missing, or the folder holds a
            file that the list does not name: a leftover of another run that a reader of the folder
            would score with the rest.
    """
    listed = _read_list(folder / LIST)
    names = [sample.file for sample in listed]
    _check_files(folder, set(names))
    size = _decode_file(folder / names[0]).shape

    def load(index: int) -> Pixels:
        path = folder / names[index]
        picture = _decode_file(path)
        if picture.shape != size:
            raise BadInput(
                f"{path} is {_size_text(picture)}, {names[0]} is {size[1]}x{size[0]}; samples must "
                "have one size"
            )
        if pixels_sha256(picture) != listed[index].pixels_sha256:
            raise BadInput(
                f"{path} has other pixels than {LIST} says: the file was changed or replaced after "
                "it was drawn; sample again"
            )
        return picture

    return SampleSet(name="samples", keys=names, load=load, listed=listed)


def warn_of_chosen_samples(samples: SampleSet) -> None:
    """Log what makes samples unlike those that a model draws: repeats, and seeds left out."""
    if samples.num_repeated:
        first_of: dict[str, ListedSample] = {}
        pairs = ((first_of.setdefault(each.pixels_sha256, each), each) for each in samples.listed)
        first, second = next(pair for pair in pairs if pair[0] is not pair[1])
        logger.warning(
            "evaluate: %d of %d samples equal one of another seed, pixel for pixel (%s and %s "
            "first); a model draws other pictures from other seeds",
            samples.num_repeated,
            len(samples),
            first.file,
            second.file,
        )
    if samples.num_missing_seeds:
        logger.warning(
            "evaluate: %d of the seeds from %d to %d have no sample; scores of chosen samples say "
            "little about the model",
            samples.num_missing_seeds,
            samples.listed[0].seed,
            samples.listed[-1].seed,
        )


def _read_list(path: Path) -> tuple[ListedSample, ...]:
    """The list, by rising seed: its order must not decide which samples are compared."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        listed = [
            ListedSample(str(row["file"]), int(row["seed"]), str(row["pixels_sha256"]))
            for row in record["samples"]
        ]
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; run the stage 'sample' first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error!r}); sample again") from error
    names = {sample.file for sample in listed}
    if not names or len(names) < len(listed) or any("/" in name for name in names):
        raise BadInput(f"{path} lists no samples, one twice, or one elsewhere; sample again")
    if len({sample.seed for sample in listed}) < len(listed):
        raise BadInput(f"{path} lists two samples of one seed; sample again")
    return tuple(sorted(listed, key=lambda sample: sample.seed))


def _check_files(folder: Path, names: set[str]) -> None:
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if missing := sorted(names - present):
        raise BadInput(
            f"{folder / missing[0]} is listed in {LIST} but not there ({len(missing)} missing); "
            "sample again"
        )
    if leftover := sorted(present - names - OTHER_FILES):
        raise BadInput(
            f"{folder / leftover[0]} is not listed in {LIST} ({len(leftover)} such files); "
            "remove what another run left there, or sample again"
        )


def _decode_file(path: Path) -> Pixels:
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(f"{path} is not a picture that can be read ({error})") from error


def _size_text(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
