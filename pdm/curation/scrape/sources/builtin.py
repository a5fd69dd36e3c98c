"""The built-in source: landscapes and flawed pictures, drawn on all cores and served over loopback.
Each picture can be fetched as soon as it is drawn, while others are still being drawn.

`landscape-00000.jpg` is a good picture; its class is the kind of land that it shows.
`flawed-blurred-00.jpg` must be dropped by curation, for one of its `expected_reasons`.
`missing-00.jpg` is a 404, and `slow-00.jpg` is served after the time-out.

The port differs from run to run, so rows and keys use a URL without it:
http://builtin.invalid/SEED/WIDTHxHEIGHT/NAME. No such host can exist (RFC 6761).
"""

import json
import logging
import multiprocessing
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2

from pdm.config.stages.scrape import BuiltinSource
from pdm.counts import counted
from pdm.curation.scrape.boxes import normalise_boxes
from pdm.curation.scrape.drawing.landscapes import draw_described
from pdm.curation.scrape.drawing.scene import Scene, choose
from pdm.curation.scrape.entries import Entry
from pdm.curation.scrape.guard.addresses import one_server_only
from pdm.curation.scrape.guard.transport.urls import host_and_port
from pdm.curation.scrape.processes import die_with_parent
from pdm.curation.scrape.sources import flawed
from pdm.curation.scrape.sources.loopback import serve
from pdm.data.annotations.maps import encode_map
from pdm.machine.heap import keep_freed_memory
from pdm.machine.limits import usable_cpus

logger = logging.getLogger(__name__)

Drawings = Mapping[str, Future[str | None]]  # by file name; the result is the boxes, as JSON

CANONICAL = "http://builtin.invalid"
NAME = "builtin"
LICENCE = "CC0-1.0"
MISSING, SLOW = "missing-00.jpg", "slow-00.jpg"
_FLAWED = re.compile(r"flawed-(\w+)-(\d+)\.jpg")
_GOOD = re.compile(r"landscape-(\d+)\.jpg")


def file_names(source: BuiltinSource) -> list[str]:
    """File names of all pictures that the source draws."""
    good = [f"landscape-{index:05}.jpg" for index in range(source.num_landscapes)]
    numbers = range(source.num_flawed_per_kind)
    return good + [f"flawed-{kind}-{number:02}.jpg" for kind in flawed.KINDS for number in numbers]


def expected_reasons(name: str) -> frozenset[str]:
    """The reasons for which curation may drop this file; empty for a good picture.

    Of a duplicate and its original (`original_of`), curation may drop either.
    """
    match = _FLAWED.fullmatch(name)
    return flawed.EXPECTED_REASONS[match[1]] if match else frozenset()


def original_of(name: str, num_landscapes: int) -> str | None:
    """Name of the landscape that a duplicate is a copy of; None if the file is not a duplicate."""
    match = _FLAWED.fullmatch(name)
    if not match or match[1] not in flawed.COPIES:
        return None
    return f"landscape-{flawed.original_of(match[1], int(match[2]), num_landscapes):05}.jpg"


def scene_of(source: BuiltinSource, name: str) -> Scene | None:
    """What a good picture or its duplicate shows; None for other names."""
    match = _GOOD.fullmatch(original_of(name, source.num_landscapes) or name)
    return choose(source.seed, int(match[1])) if match else None


@contextmanager
def drawing_processes(num_processes: int | None = None) -> Iterator[Executor]:
    """Processes that draw during the block. At its end, what was not begun is cancelled.

    Args:
        num_processes: The most to start; None for one per usable CPU.
    """
    context = multiprocessing.get_context("spawn")  # fork is not safe with threads
    number = num_processes or usable_cpus()
    processes = ProcessPoolExecutor(number, context, initializer=_start_worker)
    try:
        yield processes
    finally:
        processes.shutdown(cancel_futures=True)


def draw_all(source: BuiltinSource, folder: Path, processes: Executor) -> Drawings:
    """Begin to draw every picture of the source, in the order of `file_names`.

    Args:
        source: What to draw. The bytes depend on it alone.
        folder: Exists. A file is whole when its drawing is done.
        processes: Of `drawing_processes`.
    """
    names = file_names(source)
    logger.info("scrape: drawing %s, each fetched once it is drawn", counted(len(names), "image"))
    return {name: processes.submit(_draw, source, name, folder / name) for name in names}


@contextmanager
def serve_pictures(
    source: BuiltinSource, folder: Path, drawings: Drawings, timeout_seconds: float
) -> Iterator[list[Entry]]:
    """Serve the drawn pictures during the block; yield the entries to fetch.

    They have no boxes yet (`with_boxes`).
    """
    prefix = f"/{source.seed}/{source.width_px}x{source.height_px}"
    names = file_names(source)
    files = {f"{prefix}/{name}": folder / name for name in names}
    slow = {f"{prefix}/{SLOW}": 1.5 * timeout_seconds + 1.0}
    with serve(files, slow) as address:
        rule = one_server_only(*host_and_port(address))
        yield [
            Entry(
                identity=f"{CANONICAL}{prefix}/{name}",
                url=f"{CANONICAL}{prefix}/{name}",
                source=NAME,
                captions=(scene.caption,) if scene else (),
                class_name=scene.land if scene else None,
                licence=LICENCE,
                fetch_url=f"{address}{prefix}/{name}",
                rule=rule,
                class_map=_map_path(source, folder / name),
                drawing=drawings.get(name),
            )
            for name in [SLOW, *names, MISSING]  # the slow one first, so that none waits for it
            for scene in [scene_of(source, name)]
        ]


def _map_path(source: BuiltinSource, picture: Path) -> Path | None:
    """The file of a picture's map; None if it gets none."""
    has_map = source.maps and _GOOD.fullmatch(picture.name)
    return picture.with_suffix(".map.png") if has_map else None


def with_boxes(entry: Entry) -> Entry:
    """The entry with the boxes of its picture, which are known once it is drawn. Waits for that.

    Raises:
        Exception: That of the drawing.
    """
    return replace(entry, boxes=entry.drawing.result()) if entry.drawing else entry


def without_port(text: str | None) -> str | None:
    """A URL or message with the canonical address in place of this run's."""
    return text and re.sub(r"http://127\.0\.0\.1:\d+", CANONICAL, text)


def _start_worker() -> None:
    die_with_parent()
    keep_freed_memory()
    cv2.setNumThreads(1)  # there is one process per core


def _draw(source: BuiltinSource, name: str, path: Path) -> str | None:
    """Draw one picture, and its map if the source has maps.

    Returns:
        Its boxes as JSON, or None if it has none.
    """
    size = (source.width_px, source.height_px)
    good = _GOOD.fullmatch(name)
    if good and (source.maps or source.boxes):
        landscape = draw_described(source.seed, int(good[1]), *size)
        path.write_bytes(flawed.encode_jpeg(landscape.picture))
        if map_path := _map_path(source, path):
            map_path.write_bytes(encode_map(landscape.kinds))
        records = [box.as_record() for box in landscape.boxes]
        return normalise_boxes(json.dumps(records)) if source.boxes else None
    if good:
        path.write_bytes(flawed.draw_good(source.seed, int(good[1]), *size))
        return None
    match = _FLAWED.fullmatch(name)
    assert match, name
    number = int(match[2])
    path.write_bytes(
        flawed.draw_flawed(match[1], number, source.seed, *size, source.num_landscapes)
    )
    return None
