"""From 2K files to the input of an Inception network: ours against the loop of clean-fid.

The network itself is left out of the time, being the same on both sides. What both feed it goes
through one small network of random weights, and the Fréchet distance between the two is taken.
"""

import dataclasses
import io
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.features.picture_sets import decode
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.resize import pillow_bicubic

NETWORK_PX = 299


@dataclasses.dataclass(frozen=True)
class Size:
    side_px: int
    num_files: int
    rounds: int


FULL = Size(side_px=2048, num_files=4, rounds=5)
QUICK = Size(side_px=320, num_files=6, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Files a second on one thread, for JPEG and for PNG."""
    with limited_threads(1):
        return [_of_format(kind, size, folder) for kind in ("JPEG", "PNG")]


def _of_format(kind: str, size: Size, folder: Path) -> Ratio:
    paths = [
        _written(folder / f"{index}.{kind.lower()}", kind, size.side_px, index)
        for index in range(size.num_files)
    ]
    extractor = RandomConvFeatures(16, 0)
    features = []
    ours, theirs = ([job(path) for path in paths] for job in (_ours, _clean_fid))
    for side in (ours, theirs):
        features.append(extractor(torch.cat(side) / 127.5 - 1).numpy())
    largest = max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True))
    change = frechet_distance(*(Moments.of(each) for each in features))
    jobs = (lambda: [*map(_ours, paths)], lambda: [*map(_clean_fid, paths)])
    seconds = interleaved(size.rounds, *(partial(timed, job) for job in jobs))
    mine, peers = (speeds(len(paths), [one.cpu for one in side]) for side in seconds)
    note = (
        f"One thread each, by seconds of the processor; inputs differ by at most {largest:.1e} of "
        f"255, the Fréchet distance between both sides' features is {change:.1e}"
    )
    key = "features_vs_cleanfid" + ("" if kind == "JPEG" else "_png")
    question = f"{kind} of {size.side_px}x{size.side_px} to 299 pixels, against clean-fid's loop"
    goal = "at least 4, differing by at most 1e-3" if kind == "JPEG" else ""
    return compare(key, question, mine, peers, "files/s and core", goal, note)


def _ours(path: Path) -> Tensor:
    return pillow_bicubic(decode(path.read_bytes())[None], NETWORK_PX)


def _clean_fid(path: Path) -> Tensor:
    """Pillow decodes, and resizes each channel as floating point."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    channels = [
        np.asarray(
            Image.fromarray(pixels[:, :, channel].astype(np.float32)).resize(
                (NETWORK_PX, NETWORK_PX), Image.Resampling.BICUBIC
            )
        ).reshape(NETWORK_PX, NETWORK_PX, 1)
        for channel in range(3)
    ]
    resized = np.concatenate(channels, axis=2).astype(np.float32)
    return torch.from_numpy(resized.transpose(2, 0, 1))[None]


def _written(path: Path, kind: str, side: int, seed: int) -> Path:
    """A picture whose detail falls off as a photograph's does."""
    random = np.random.default_rng(seed)
    picture = np.zeros((side, side, 3))
    cells = 4
    while cells <= side:
        noise = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        enlarged = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
        picture += (np.asarray(enlarged, np.float64) - 128) / cells**0.8
        cells *= 4
    content = io.BytesIO()
    options = {"quality": 92} if kind == "JPEG" else {"compress_level": 1}
    Image.fromarray((128 + 2 * picture).clip(0, 255).astype(np.uint8)).save(
        content, kind, **options
    )
    path.write_bytes(content.getvalue())
    return path
