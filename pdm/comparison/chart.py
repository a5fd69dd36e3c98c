"""Charts of curves of several runs, as coordinates in SVG units for the template."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pdm.comparison.run import Curve, Run

WIDTH, HEIGHT = 460.0, 220.0  # size of the drawing area
# Curves of a stage shown first, in this order; all others follow.
MAIN_CURVES = ("loss", "val_loss", "frechet_random_conv/samples_vs_decoded_val")
MAX_POINTS = 240  # points of a line; longer curves are averaged over equal groups
LOG_FROM = 12.0  # ratio of largest to smallest value from which the axis is logarithmic


@dataclass(frozen=True, slots=True)
class Line:
    """The curve of one run."""

    run: int
    points: str  # points of an SVG polyline
    last: float
    end: tuple[float, float]  # position of its end


@dataclass(frozen=True, slots=True)
class Chart:
    """One metric of one stage."""

    stage: str
    metric: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    logarithmic: bool


def charts(runs: Sequence[Run]) -> list[Chart]:
    """Make a chart for every metric with a curve in any run; losses first, parts of losses last."""
    names = {name for run in runs for name, curve in run.curves.items() if curve}
    return [_chart(runs, name) for name in sorted(names, key=_rank)]


def _rank(name: str) -> tuple[str, int, str]:
    stage, metric = name.split("/", 1)
    place = MAIN_CURVES.index(metric) if metric in MAIN_CURVES else len(MAIN_CURVES)
    return stage, place, metric


def _chart(runs: Sequence[Run], name: str) -> Chart:
    curves = {
        number: _thinned(run.curves[name])
        for number, run in enumerate(runs)
        if run.curves.get(name)
    }
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(values), max(values)
    logarithmic = low > 0 and high / low > LOG_FROM
    axis = _Axis(*((math.log10(low), math.log10(high)) if logarithmic else (low, high)))
    across = _Axis(0.0, max(x for curve in curves.values() for x, _ in curve))
    lines = []
    for number, curve in curves.items():
        places = [
            (
                round(WIDTH * across.share(x), 1),
                round(HEIGHT * (1 - axis.share(math.log10(y) if logarithmic else y)), 1),
            )
            for x, y in curve
        ]
        text = " ".join(f"{x:g},{y:g}" for x, y in places)
        lines.append(Line(number, text, curve[-1][1], places[-1]))
    y_ticks = _powers(low, high) if logarithmic else axis.ticks()
    stage, metric = name.split("/", 1)
    return Chart(
        stage,
        metric,
        tuple(lines),
        tuple((round(WIDTH * across.share(x), 1), f"{x:,.0f}") for x in across.ticks()),
        tuple(
            (round(HEIGHT * (1 - axis.share(math.log10(y) if logarithmic else y)), 1), f"{y:.4g}")
            for y in y_ticks
        ),
        logarithmic,
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    def share(self, value: float) -> float:
        """Return the position along the axis, from 0 to 1."""
        return (value - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> list[float]:
        """Return about four round values in the range."""
        span = (self.high - self.low) or 1.0
        step = 10 ** math.floor(math.log10(span / 3))
        step *= next(factor for factor in (5, 2, 1) if span / (step * factor) >= 2.5 or factor == 1)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten in the range."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    return [
        value
        for power in exponents
        for step in steps
        if low <= (value := step * 10.0**power) <= high
    ]


def _thinned(curve: Curve) -> Curve:
    """Reduce a curve to at most `MAX_POINTS` points by averaging neighbours; the last point
    stays."""
    size = math.ceil(len(curve) / MAX_POINTS)
    if size <= 1:
        return curve
    groups = [curve[start : start + size] for start in range(0, len(curve) - 1, size)]
    means = [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
    return [*means, curve[-1]]
