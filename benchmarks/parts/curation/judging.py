"""Images a second and core, from source bytes to finished 2K crops, against three peers.

Ten JPEGs of 12 megapixels, quality 90, of which three are kept. One process, one thread. Seconds
are those of the processor, so that work beside it on the machine counts little; by the clock the
ratio is in the note.
"""

import io
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.parts.curation import naive
from benchmarks.parts.curation.pictures import SETTINGS, camera_pictures, crops_of, raw_folder
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import Seconds, interleaved, speeds, timed
from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.judge import judge_row
from pdm.curation.curate.raw import load_rows
from pdm.curation.curate.scores import measure as scores
from pdm.curation.scrape.fetching.img2dataset import command_environment, find_img2dataset
from pdm.curation.shard.write import cut_crop, encode
from pdm.data.decisions import Row
from pdm.data.pixels import Pixels

MIN_DECIBELS = 45.0  # between our crops and the naive loop's, as they were saved
NUM_PICTURES = 10
RESIZER_NOTE = (
    "img2dataset judges nothing and crops to squares only: its worker's resizer makes all ten 2048 "
    "pixels wide (mode keep_ratio_largest, area means, quality 95), what crops of this width would "
    "be cut from; fetching and writing are left out on both sides"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    width_px: int
    height_px: int
    crop: tuple[int, int]
    rounds: int


FULL = Size(4000, 3000, (2048, 1024), rounds=5)
QUICK = Size(640, 480, (512, 256), rounds=1)

Made = dict[str, tuple[Row, bytes | None]]  # by URL


def measure(size: Size, folder: Path) -> list[Ratio]:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    raw = raw_folder(folder, camera_pictures(size.width_px, size.height_px))
    config = crops_of(*size.crop)
    loops = [
        partial(_ours, raw, config),
        partial(_naive, raw, config, naive.measured),
        partial(_naive, raw, config, _own_scores),
    ]
    made, plain, tuned = (loop() for loop in loops)
    sides = [partial(timed, loop) for loop in loops]
    with _resizer(raw.with_name("pictures"), size.crop[0]) as resizer:
        seconds = interleaved(size.rounds, *sides, resizer)
    question = "12-megapixel JPEGs to 2K crops, against "
    peers = (
        ("vs_naive", "a naive Pillow loop", "at least 5", _agreement(made, plain)),
        ("vs_tuned_naive", "a Pillow loop with our scores", "", _agreement(made, tuned)),
        ("vs_img2dataset", "img2dataset's resizer", "at least 1.5", RESIZER_NOTE),
    )
    return [
        _line(key, question + peer, seconds[0], theirs, goal, note)
        for (key, peer, goal, note), theirs in zip(peers, seconds[1:], strict=True)
    ]


def _ours(raw: Path, config: CurateConfig) -> Made:
    """As the stages do it: judge every image, then decode, cut and encode those that are kept."""
    made: Made = {}
    for row in load_rows(raw):
        row |= judge_row(row, raw, config)
        row |= {"target_width_px": config.width_px, "target_height_px": config.height_px}
        kept = row["outcome"] == "kept"
        made[row["url"]] = row, encode(cut_crop(row, raw), SETTINGS.shard) if kept else None
    return made


def _naive(raw: Path, config: CurateConfig, measure: naive.Measure) -> Made:
    files = raw.with_name("pictures")
    return {
        f"pictures/{path.name}": naive.curate(path.read_bytes(), config, measure)
        for path in sorted(files.iterdir())
    }


def _own_scores(crop: Pixels, decoded: Pixels) -> scores.Scores:
    return scores.measure(crop, decoded, 1)


def _agreement(ours: Made, other: Made) -> str:
    """Raises AssertionError unless both made the same decisions and, but for noise, crops."""
    decisions = [{url: row["reason"] for url, (row, _) in made.items()} for made in (ours, other)]
    assert decisions[0] == decisions[1], decisions
    pairs = [(saved, other[url][1]) for url, (_, saved) in ours.items() if saved is not None]
    decibels = min(_decibels(one, two or b"") for one, two in pairs)
    assert decibels >= MIN_DECIBELS, decibels
    return (
        f"Kept {len(pairs)} of {len(ours)}, the same decisions and reasons; saved crops differ by "
        f"{decibels:.1f} dB or less noise"
    )


def _decibels(one: bytes, other: bytes) -> float:
    first, second = (np.asarray(Image.open(io.BytesIO(file)), float) for file in (one, other))
    return float(10 * np.log10(255**2 / max(np.square(first - second).mean(), 1e-9)))


def _line(
    key: str, question: str, ours: list[Seconds], theirs: list[Seconds], goal: str, note: str
) -> Ratio:
    by_clock = statistics.median(b.wall / a.wall for a, b in zip(ours, theirs, strict=True))
    mine, peers = (speeds(NUM_PICTURES, [one.cpu for one in side]) for side in (ours, theirs))
    note = f"{note}. By the clock the ratio is {by_clock:.3g}."
    return compare(key, question, mine, peers, "images/s and core", goal, note)


@contextmanager
def _resizer(folder: Path, longer_side_px: int) -> Iterator[Callable[[], Seconds]]:
    """img2dataset's resizer over the pictures of a folder, in a process of its own environment."""
    script = Path(__file__).with_name("img2dataset_peer.py")
    python = find_img2dataset().with_name("python")
    command = [str(python), "-W", "ignore", str(script), str(folder), str(longer_side_px)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=command_environment()
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        requests, answers = child.stdin, child.stdout

        def run() -> Seconds:
            requests.write("go\n")
            requests.flush()
            answer = json.loads(answers.readline())
            assert all(max(size) == longer_side_px for size in answer["sizes"]), answer
            return Seconds(answer["wall"], answer["cpu"])

        yield run
        requests.close()
