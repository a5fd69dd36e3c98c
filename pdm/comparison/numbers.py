"""Formats numbers for display."""

from collections.abc import Sequence

from pdm.comparison.run import Run

HASH = 40  # hexadecimal texts of this length or more are shortened
COSTS = {
    "wall_seconds": "wall time",
    "cpu_hours": "CPU hours",
    "gpu_hours": "GPU hours",
    "images_seen": "images seen",
    "parameters": "parameters",
    "training_flops": "training operations",
}
SUMMED = ("wall_seconds", "cpu_hours", "gpu_hours", "training_flops")
STEPS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float) -> str:
    """Format a number with four significant digits."""
    return f"{value:.4g}"


def interval(ends: tuple[float, float]) -> str:
    """Format the ends of an interval in brackets."""
    return f"[{number(ends[0])}, {number(ends[1])}]"


def short(text: str) -> str:
    """Shorten a digest to its beginning; leave any other text as it is."""
    is_digest = len(text) >= HASH and set(text) <= set("0123456789abcdef")
    return text[:12] if is_digest else text


def cost(name: str, value: float) -> str:
    """Format a cost with its unit."""
    if name == "wall_seconds":
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"
    if name.endswith("_hours"):
        return f"{value:.3g}"
    if name == "images_seen":
        return f"{value:,.0f}"
    factor, letter = next(((step, unit) for step, unit in STEPS if value >= step), (1.0, ""))
    unit = f" {letter}FLOP" if name.endswith("flops") else f" {letter}"
    return f"{value / factor:.3g}{unit}".rstrip()


def cost_rows(runs: Sequence[Run]) -> list[tuple[str, tuple[str | None, ...]]]:
    """List costs by stage, and sums over the stages where they make sense."""
    stages = sorted({stage for run in runs for stage in run.costs})
    rows = []
    for stage in stages:
        for name, title in COSTS.items():
            values = tuple(run.costs.get(stage, {}).get(name) for run in runs)
            if any(values):
                rows.append((f"{stage}: {title}", _texts(name, values)))
    for name in SUMMED:
        sums = tuple(
            sum(costs.get(name, 0.0) for costs in run.costs.values()) if run.costs else None
            for run in runs
        )
        if any(sums):
            rows.append((f"all stages: {COSTS[name]}", _texts(name, sums)))
    return rows


def _texts(name: str, values: Sequence[float | None]) -> tuple[str | None, ...]:
    return tuple(None if value is None else cost(name, value) for value in values)
