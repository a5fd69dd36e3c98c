"""Sets of pictures to be scored, all of one size, read one batch at a time.

A picture here is a uint8 array (H, W, 3). A set knows how many it holds and how to load the i-th,
so that it may lie in files, in shards or in memory, and a score never needs more than a batch.
"""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pdm.data.decoding import turbo
from pdm.errors import BadInput

Picture = NDArray[np.uint8]

# What the sample stage writes beside the samples; everything else that is not listed is a leftover.
OTHER_FILES = {"samples.json", "contact-sheet.png", "full-size", "previews"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSet:
    """Pictures of one size, in a fixed order."""

    name: str  # "samples", "val" or "train"; used in messages and plots
    keys: Sequence[str]  # one for each picture: a file name or a shard's key
    load: Callable[[int], Picture]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        height, width = self.load(0).shape[:2]
        return height, width

    def batches(self, batch_size: int) -> Iterator[Picture]:
        """All pictures in order, as (B, H, W, 3) with B = `batch_size` but for the last."""
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            yield np.stack([self.load(index) for index in range(start, stop)])


def to_tensor(pictures: Picture) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(images: Tensor) -> Picture:
    """The only picture of `images` (1, 3, H, W) in [-1, 1] as uint8 (H, W, 3)."""
    values = (images[0].permute(1, 2, 0) + 1) * 127.5
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def decoded(content: bytes) -> Picture:
    """A file's pixels as Pillow gives them in RGB, sooner for a JPEG.

    Raises:
        OSError, ValueError, SyntaxError: The bytes are no picture, or a damaged one.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "RGB" and turbo.can_decode(image, content):
            return turbo.decode(content, image.size, 1)
        return np.array(image.convert("RGB"))


def read_samples(folder: Path) -> PictureSet:
    """The pictures that `samples.json` lists, and no others.

    Raises:
        BadInput: The list is missing or damaged, a listed picture is missing or has another size
            than the first, or the folder holds a file that the list does not name: a leftover of
            another run that a reader of the folder would score with the rest.
    """
    names = _listed(folder)
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if missing := sorted(set(names) - present):
        raise BadInput(
            f"{folder / missing[0]} is listed in samples.json but not there "
            f"({len(missing)} missing); sample again"
        )
    if leftover := sorted(present - set(names) - OTHER_FILES):
        raise BadInput(
            f"{folder / leftover[0]} is not listed in samples.json ({len(leftover)} such files); "
            "remove what another run left there, or sample again"
        )
    size = _read(folder / names[0]).shape

    def load(index: int) -> Picture:
        picture = _read(folder / names[index])
        if picture.shape != size:
            raise BadInput(
                f"{folder / names[index]} is {_written(picture)}, {names[0]} is "
                f"{size[1]}x{size[0]}; samples must have one size"
            )
        return picture

    return PictureSet(name="samples", keys=names, load=load)


def _listed(folder: Path) -> list[str]:
    path = folder / "samples.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [str(row["file"]) for row in record["samples"]]
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; run the stage 'sample' first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read ({error!r}); sample again") from error
    if not names or len(set(names)) < len(names) or any("/" in name for name in names):
        raise BadInput(f"{path} lists no samples, one twice, or one elsewhere; sample again")
    return names


def _read(path: Path) -> Picture:
    try:
        return decoded(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInput(f"{path} is not a picture that can be read ({error})") from error


def _written(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
