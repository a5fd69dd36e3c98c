"""The built-in source: landscapes and flawed pictures, drawn in all cores, named for what they are.

`landscape-00000.jpg` is a good one, `flawed-blurred-00.jpg` must be caught: `expected_reasons` says
how. `missing-00.jpg` is a 404 and `slow-00.jpg` is answered after the fetcher has given up.

Pictures are fetched from a port that differs from run to run, so in the rows, and for their keys,
they have a URL that does not: http://builtin.invalid/SEED/WIDTHxHEIGHT/NAME. No such host exists
(RFC 6761).
"""

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2

from pdm.config.scrape import BuiltinSource
from pdm.curation.scrape.drawing.scene import choose
from pdm.curation.scrape.entries import Entry
from pdm.curation.scrape.guard.addresses import only
from pdm.curation.scrape.guard.transport.urls import place_of
from pdm.curation.scrape.processes import available_cores, die_with_parent
from pdm.curation.scrape.sources import flawed
from pdm.curation.scrape.sources.loopback import serve
from pdm.progress import Progress

CANONICAL = "http://builtin.invalid"
NAME = "builtin"
LICENCE = "CC0-1.0"
MISSING, SLOW = "missing-00.jpg", "slow-00.jpg"
_FLAWED = re.compile(r"flawed-(\w+)-(\d+)\.jpg")
_GOOD = re.compile(r"landscape-(\d+)\.jpg")


def names(source: BuiltinSource) -> list[str]:
    """File names of everything that the source draws."""
    good = [f"landscape-{index:05}.jpg" for index in range(source.num_landscapes)]
    numbers = range(source.num_flawed_per_kind)
    return good + [f"flawed-{kind}-{number:02}.jpg" for kind in flawed.KINDS for number in numbers]


def expected_reasons(name: str) -> frozenset[str]:
    """Reasons of which curation must give one when it drops this file; none for a good one.

    Of a copy and its original (`original_of`), it may drop either.
    """
    match = _FLAWED.fullmatch(name)
    return flawed.EXPECTED_REASONS[match[1]] if match else frozenset()


def original_of(name: str, num_landscapes: int) -> str | None:
    """Name of the landscape that a duplicate repeats; None if the file is no duplicate."""
    match = _FLAWED.fullmatch(name)
    if not match or match[1] not in flawed.COPIES:
        return None
    return f"landscape-{flawed.original_of(match[1], int(match[2]), num_landscapes):05}.jpg"


def draw_all(source: BuiltinSource, folder: Path) -> None:
    """Draw every picture of the source into `folder`, in as many processes as there are cores."""
    wanted = names(source)
    num_workers = min(available_cores(), len(wanted))
    context = multiprocessing.get_context("spawn")  # fork and threads do not mix
    progress = Progress("scrape: drawing", len(wanted))
    with ProcessPoolExecutor(num_workers, context, initializer=_start_worker) as pool:
        tasks = [(source, name, folder / name) for name in wanted]
        for _ in pool.map(_draw, tasks, chunksize=2):
            progress.advance()


@contextmanager
def served(source: BuiltinSource, folder: Path, timeout_seconds: float) -> Iterator[list[Entry]]:
    """Serve what was drawn while the block runs; yield the entries to fetch."""
    prefix = f"/{source.seed}/{source.width_px}x{source.height_px}"
    drawn = names(source)
    files = {f"{prefix}/{name}": folder / name for name in drawn}
    slow = {f"{prefix}/{SLOW}": 1.5 * timeout_seconds + 1.0}
    with serve(files, slow) as address:
        ours = only(*place_of(address))  # and nothing else on this machine
        yield [
            Entry(
                identity=f"{CANONICAL}{prefix}/{name}",
                url=f"{CANONICAL}{prefix}/{name}",
                source=NAME,
                caption=_caption(source, name),
                licence=LICENCE,
                fetch_url=f"{address}{prefix}/{name}",
                rule=ours,
            )
            for name in [SLOW, *drawn, MISSING]  # the slow one first: others need not wait for it
        ]


def canonical(text: str | None) -> str | None:
    """A URL or a message without the port of this run."""
    return text and re.sub(r"http://127\.0\.0\.1:\d+", CANONICAL, text)


def _caption(source: BuiltinSource, name: str) -> str | None:
    match = _GOOD.fullmatch(name)
    return choose(source.seed, int(match[1])).caption if match else None


def _start_worker() -> None:
    die_with_parent()
    cv2.setNumThreads(1)  # one process a core is enough


def _draw(task: tuple[BuiltinSource, str, Path]) -> None:
    source, name, path = task
    size = (source.width_px, source.height_px)
    good = _GOOD.fullmatch(name)
    if good:
        path.write_bytes(flawed.good(source.seed, int(good[1]), *size))
        return
    match = _FLAWED.fullmatch(name)
    assert match, name
    number = int(match[2])
    path.write_bytes(flawed.make(match[1], number, source.seed, *size, source.num_landscapes))
