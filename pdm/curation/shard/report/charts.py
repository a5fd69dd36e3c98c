"""The numbers behind the report's charts; the template draws them. Lengths are in SVG units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdm.curation.limits import Bound, Score
from pdm.curation.shard.report.table import Decided, Mask, Numbers, Places

NUM_BINS = 46
WIDTH, HEIGHT = 460, 130  # of a histogram's drawing area
MIN_BAR = 1.5  # a single picture among a million is still seen
SIDE = 300  # of the square map of sizes
CELLS = 24  # along each side of it
SMALLEST_PX, LARGEST_PX = 64, 16384  # on the map; what lies beyond stands in its outermost cells


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: kept images below, those dropped here on them, the others on top."""

    left: float
    width: float
    heights: tuple[float, float, float]
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A limit, and how many pictures lie on either side of it."""

    bound: Bound
    place: float
    num_inside: int
    num_outside: int
    num_dropped: int  # of those outside, for this reason; the others had another one before


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distribution of one score over all measured images."""

    title: str
    meaning: str
    bars: list[Bar]
    lines: list[Line]
    ticks: list[tuple[float, str]]
    num_images: int
    tallest: int


@dataclass(frozen=True, slots=True)
class Cell:
    """How many pictures have about one size."""

    left: float
    top: float
    opacity: float
    mostly_kept: bool
    label: str


@dataclass(frozen=True, slots=True)
class SizeMap:
    """Widths to the right, heights upwards, both logarithmic."""

    cells: list[Cell]
    ticks: list[tuple[float, str]]  # the same along both sides
    target: tuple[float, float]  # the finished width and height
    num_images: int


def histogram(
    score: Score, values: Numbers, decided: Decided, limits: Mapping[str, Any]
) -> Histogram | None:
    """How a score is distributed, and where its limits lie; none if it was measured nowhere."""
    measured = ~np.isnan(values)
    if not measured.any():
        return None
    bounds = score.bounds(limits)
    here = _any([decided.dropped_for(bound.reason) & _outside(bound, values) for bound in bounds])
    bins = np.minimum((_places(values[measured], score) * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = [
        np.bincount(bins[part[measured]], minlength=NUM_BINS)
        for part in (decided.kept, here, ~decided.kept & ~here)
    ]
    return Histogram(
        score.title,
        score.meaning,
        _bars(counts),
        [_line(bound, values, decided, score) for bound in bounds],
        [(_x(value, score), f"{value:g}") for value in _ticks(score)],
        int(measured.sum()),
        int(np.sum(counts, axis=0).max()),
    )


def size_map(widths: Numbers, heights: Numbers, kept: Mask, target: tuple[int, int]) -> SizeMap:
    """Sizes of all pictures that have one, from the header, borders and all."""
    known = ~np.isnan(widths)
    across, down = _cell_of(widths[known]), _cell_of(heights[known])
    places = down * CELLS + across
    counts = np.bincount(places, minlength=CELLS * CELLS)
    num_kept = np.bincount(places[kept[known]], minlength=CELLS * CELLS)
    strength = np.log1p(counts) / max(np.log1p(counts.max()), 1e-9)
    step = SIDE / CELLS
    cells = [
        Cell(
            round(place % CELLS * step, 1),
            round(SIDE - (place // CELLS + 1) * step, 1),
            round(0.25 + 0.75 * float(strength[place]), 2),
            bool(2 * num_kept[place] >= counts[place]),
            f"about {_edges(place % CELLS)} x {_edges(place // CELLS)} pixels: "
            f"{counts[place]:,}, {num_kept[place]:,} kept",
        )
        for place in np.flatnonzero(counts).tolist()
    ]
    ticks = [(round(SIDE * _share(value), 1), f"{value:,}") for value in (64, 256, 1024, 4096)]
    ends = (round(SIDE * _share(target[0]), 1), round(SIDE * _share(target[1]), 1))
    return SizeMap(cells, ticks, ends, int(known.sum()))


def _ticks(score: Score) -> Numbers:
    low, high = score.axis
    if not score.logarithmic:
        return np.linspace(low, high, 5)
    base = 2.0 if high / low <= 100 else 10.0
    return base ** np.arange(np.log(low) / np.log(base), np.log(high) / np.log(base) + 0.5)


def _bars(counts: list[Places]) -> list[Bar]:
    tallest, width = int(np.sum(counts, axis=0).max()), WIDTH / NUM_BINS
    bars = []
    for place, numbers in enumerate(zip(*(one.tolist() for one in counts), strict=True)):
        if sum(numbers):
            heights = [max(HEIGHT * n / tallest, MIN_BAR) if n else 0.0 for n in numbers]
            label = "{:,} kept, {:,} dropped here, {:,} dropped otherwise".format(*numbers)
            kept, here, other = (round(one, 1) for one in heights)
            bars.append(
                Bar(round(place * width, 1), round(width - 1, 1), (kept, here, other), label)
            )
    return bars


def _line(bound: Bound, values: Numbers, decided: Decided, score: Score) -> Line:
    outside = _outside(bound, values)
    return Line(
        bound,
        _x(bound.value, score),
        int((~np.isnan(values)).sum() - outside.sum()),
        int(outside.sum()),
        int((outside & decided.dropped_for(bound.reason)).sum()),
    )


def _outside(bound: Bound, values: Numbers) -> Mask:
    outside: Mask = bound.sign * (values - bound.value) < 0  # not so for NaN
    return outside


def _any(masks: list[Mask]) -> Mask:
    found: Mask = np.logical_or.reduce(masks) if masks else np.array(False)
    return found


def _places(values: Numbers, score: Score) -> Numbers:
    """Along the axis, from 0 to 1."""
    low, high = score.axis
    if score.logarithmic:
        low, high = np.log10(low), np.log10(high)
        values = np.log10(np.maximum(values, 10.0**low))
    return np.clip((values - low) / (high - low), 0, 1)


def _x(value: float, score: Score) -> float:
    return round(WIDTH * float(_places(np.array(value), score)), 1)


def _share(size_px: float) -> float:
    return float(np.log2(size_px / SMALLEST_PX) / np.log2(LARGEST_PX / SMALLEST_PX))


def _cell_of(sizes: Numbers) -> Places:
    shares = np.log2(sizes / SMALLEST_PX) / np.log2(LARGEST_PX / SMALLEST_PX)
    cells: Places = np.clip(np.floor(shares * CELLS), 0, CELLS - 1).astype(np.int64)
    return cells


def _edges(cell: int) -> str:
    """The middle of a cell, in round figures."""
    size_px = SMALLEST_PX * (LARGEST_PX / SMALLEST_PX) ** ((cell + 0.5) / CELLS)
    return f"{round(size_px, -1):,.0f}"
