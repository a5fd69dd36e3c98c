"""The numbers of the report's charts, which the template draws. Lengths are in SVG units."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdm.curation.limits import Bound, Score
from pdm.curation.shard.report.table import DecisionTable, Mask, Numbers, Places

NUM_BINS = 46
WIDTH, HEIGHT = 460, 130  # of a histogram's drawing area
MIN_BAR = 1.5  # so that one picture among a million is visible
SIDE = 300  # of the square map of sizes
CELLS = 24  # along each side of it
MIN_PX, MAX_PX = 64, 16384  # on the map; others are counted in the outermost cells


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin, stacked: kept images, those dropped for this score, those dropped for others."""

    left: float
    width: float
    heights: tuple[float, float, float]
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A limit, and the number of pictures on either side of it."""

    bound: Bound
    place: float
    num_inside: int
    num_outside: int
    num_dropped: int  # of those outside, for this reason; the others were dropped for another


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distribution of a score over all measured images."""

    title: str
    meaning: str
    bars: list[Bar]
    lines: list[Line]
    ticks: list[tuple[float, str]]
    num_images: int
    tallest: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Number of pictures of about the same size."""

    left: float
    top: float
    opacity: float
    mostly_kept: bool
    label: str


@dataclass(frozen=True, slots=True)
class SizeMap:
    """Widths to the right, heights upwards, both logarithmic."""

    cells: list[Cell]
    ticks: list[tuple[float, str]]  # the same on both axes
    target: tuple[float, float]  # width and height of the crops
    num_images: int


def histogram(
    score: Score, values: Numbers, decisions: DecisionTable, limits: Mapping[str, Any]
) -> Histogram | None:
    """Distribution of a score and its limits; None if no image has the score."""
    measured = ~np.isnan(values)
    if not measured.any():
        return None
    bounds = score.bounds(limits)
    dropped_here = np.zeros(len(values), dtype=bool)  # no limit holds where all is allowed
    for bound in bounds:
        dropped_here |= decisions.dropped_for(bound.reason) & _outside(bound, values)
    bins = np.minimum((_positions(values[measured], score) * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = [
        np.bincount(bins[part[measured]], minlength=NUM_BINS)
        for part in (decisions.kept, dropped_here, ~decisions.kept & ~dropped_here)
    ]
    return Histogram(
        score.title,
        score.meaning,
        _bars(counts),
        [_line(bound, values, decisions, score) for bound in bounds],
        [(_x(value, score), f"{value:g}") for value in _ticks(score)],
        int(measured.sum()),
        int(np.sum(counts, axis=0).max()),
    )


def size_map(widths: Numbers, heights: Numbers, kept: Mask, target: tuple[int, int]) -> SizeMap:
    """Sizes of all pictures by their headers, borders included."""
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
            f"about {_cell_size_text(place % CELLS)} x {_cell_size_text(place // CELLS)} pixels: "
            f"{counts[place]:,}, {num_kept[place]:,} kept",
        )
        for place in np.flatnonzero(counts).tolist()
    ]
    ticks = [(_on_map(value), f"{value:,}") for value in (64, 256, 1024, 4096)]
    return SizeMap(cells, ticks, (_on_map(target[0]), _on_map(target[1])), int(known.sum()))


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


def _line(bound: Bound, values: Numbers, decisions: DecisionTable, score: Score) -> Line:
    outside = _outside(bound, values)
    return Line(
        bound,
        _x(bound.value, score),
        int((~np.isnan(values)).sum() - outside.sum()),
        int(outside.sum()),
        int((outside & decisions.dropped_for(bound.reason)).sum()),
    )


def _outside(bound: Bound, values: Numbers) -> Mask:
    outside: Mask = bound.sign * (values - bound.value) < 0  # not so for NaN
    return outside


def _positions(values: Numbers, score: Score) -> Numbers:
    """Positions on the score's axis, from 0 to 1."""
    low, high = score.axis
    if score.logarithmic:
        low, high = np.log10(low), np.log10(high)
        values = np.log10(np.maximum(values, 10.0**low))
    return np.clip((values - low) / (high - low), 0, 1)


def _x(value: float, score: Score) -> float:
    return round(WIDTH * float(_positions(np.array(value), score)), 1)


def _on_map(size_px: float) -> float:
    """Position on the logarithmic axes of the size map."""
    share = np.log2(size_px / MIN_PX) / np.log2(MAX_PX / MIN_PX)
    return round(SIDE * float(share), 1)


def _cell_of(sizes: Numbers) -> Places:
    shares = np.log2(sizes / MIN_PX) / np.log2(MAX_PX / MIN_PX)
    cells: Places = np.clip(np.floor(shares * CELLS), 0, CELLS - 1).astype(np.int64)
    return cells


def _cell_size_text(cell: int) -> str:
    """The size in the middle of a cell, rounded."""
    size_px = MIN_PX * (MAX_PX / MIN_PX) ** ((cell + 0.5) / CELLS)
    return f"{round(size_px, -1):,.0f}"
