"""The numbers behind the report's charts; the template draws them."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pdm.data.decisions import Row
from pdm.data.kinds import REASONS as FOREIGN

# What a reason takes away, in the order of the funnel. Every other reason belongs to fetching.
STEPS = (
    (
        "intact, readable files",
        {"unreadable", "animated", "damaged", "decode_timeout", "decoder_crash", *FOREIGN},
    ),
    ("large enough, right shape", {"too_many_pixels", "border", "too_small", "wrong_shape"}),
    ("people, faces whole", {"no_people", "crowd", "face_cut"}),
    ("well exposed", {"transparent", "dark", "light", "low_information"}),
    ("photographs in colour", {"grey", "drawing"}),
    ("sharp at full size", {"blocky", "blurry", "enlarged"}),
    ("one of each", {"exact_duplicate", "near_duplicate"}),
)
NUM_BINS = 40
WIDTH, HEIGHT = 400, 120  # of a histogram's drawing area

SCORES = (  # column, title, limits in section curate, drawn on a logarithmic axis
    ("sharpness", "Sharpness", ("min_sharpness",), False),
    ("high_frequency", "Fine detail (logarithmic)", ("min_high_frequency",), True),
    ("detail_share", "Share of the picture that holds edges", ("min_detail_share",), False),
    ("contrast", "Contrast", ("min_contrast",), False),
    ("brightness", "Mean brightness", ("min_brightness", "max_brightness"), False),
)


@dataclass(frozen=True, slots=True)
class Step:
    """How many images are left after a step, and what the step took away."""

    title: str
    left: int
    share: float  # of all rows
    lost: list[tuple[str, int]]


def funnel(rows: list[Row], num_failures: int) -> list[Step]:
    """From the rows of the sources to the crops in the shards; each row is lost at most once."""
    reasons = Counter(str(row["reason"]) for row in rows if row["outcome"] != "kept")
    later = {reason for _, names in STEPS for reason in names}
    fetching = {reason for reason in reasons if reason not in later}
    steps = [Step("URLs and files", len(rows), 1.0, [])]
    for title, names in (("fetched", fetching), *STEPS):
        steps.append(_next(steps[-1], title, Counter({r: reasons[r] for r in names}), len(rows)))
    lost = Counter({"decoding failed": num_failures})
    steps.append(_next(steps[-1], "crops in the shards", lost, len(rows)))
    return steps


def _next(before: Step, title: str, lost: Counter[str], total: int) -> Step:
    left = before.left - lost.total()
    listed = sorted((reason, count) for reason, count in lost.items() if count)
    return Step(title, left, left / max(total, 1), listed)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: kept images below, the others stacked on them. Lengths are of the drawing area."""

    left: float
    width: float
    kept_height: float
    other_height: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distribution of one score over all measured images."""

    title: str
    bars: list[Bar]
    limits: list[tuple[float, str]]  # place on the axis and name
    ticks: list[tuple[float, str]]
    num_images: int
    tallest: int


def histograms(rows: list[Row], limits: dict[str, Any]) -> list[Histogram]:
    """One for each score that any image has."""
    charts = []
    for column, title, names, logarithmic in SCORES:
        measured = [row for row in rows if row[column] is not None]
        if measured:
            lines = [(name, float(limits[name])) for name in names]
            charts.append(_histogram(measured, column, title, lines, logarithmic))
    return charts


def _histogram(
    rows: list[Row], column: str, title: str, limits: list[tuple[str, float]], logarithmic: bool
) -> Histogram:
    low, high = (-4.0, 0.0) if logarithmic else (0.0, 1.0)

    def place(value: float) -> float:
        on_axis = math.log10(max(value, 1e-4)) if logarithmic else value
        return min(max((on_axis - low) / (high - low), 0.0), 1.0)

    counts = {True: Counter[int](), False: Counter[int]()}
    for row in rows:
        position = min(int(place(row[column]) * NUM_BINS), NUM_BINS - 1)
        counts[row["outcome"] == "kept"][position] += 1
    kept, other = counts[True], counts[False]
    tallest = max(kept[bin_] + other[bin_] for bin_ in range(NUM_BINS))
    width = WIDTH / NUM_BINS
    bars = [
        Bar(
            round(bin_ * width, 1),
            width - 1,
            round(HEIGHT * kept[bin_] / tallest, 1),
            round(HEIGHT * other[bin_] / tallest, 1),
            f"{kept[bin_]} kept, {other[bin_]} dropped",
        )
        for bin_ in range(NUM_BINS)
        if kept[bin_] + other[bin_]
    ]
    ticks = (1e-4, 1e-3, 1e-2, 1e-1, 1.0) if logarithmic else (0.0, 0.25, 0.5, 0.75, 1.0)
    return Histogram(
        title,
        bars,
        [(round(WIDTH * place(value), 1), f"{name} {value:g}") for name, value in limits],
        [(round(WIDTH * place(value), 1), f"{value:g}") for value in ticks],
        len(rows),
        tallest,
    )
