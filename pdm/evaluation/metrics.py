"""Writes `metrics.json` (scores, intervals, counts, conventions) and `replicates.json`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.errors import QualityGate
from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.scores import Scores
from pdm.files import write_json
from pdm.scores.names import is_share

REPLICATES = "replicates.json"


def add_intervals(scores: Scores) -> dict[str, float]:
    """Return the scores, with `intervals/NAME/low` and `high` for those that have replicates.

    Replicates are centred on the score, so those of a share near 0 or 1 may lie beyond; the ends of
    its interval do not.

    Raises:
        QualityGate: A score is not finite.
    """
    bad = sorted(name for name, value in scores.values.items() if not math.isfinite(value))
    if bad:
        raise QualityGate(f"{', '.join(bad)}: not finite; look at the samples")
    values = dict(scores.values)
    for name, replicates in scores.replicates.items():
        low, high = bootstrap.interval(replicates)
        if is_share(name):
            low, high = max(low, 0.0), min(high, 1.0)
        values |= {f"intervals/{name}/low": low, f"intervals/{name}/high": high}
    return {name: _round(value) for name, value in values.items()}


def write_metrics(path: Path, scores: Mapping[str, float], conventions: Mapping[str, str]) -> None:
    """Write scores under nested names, with their conventions."""
    write_json(path, {**_nest(scores), "conventions": dict(conventions)})


def write_replicates(
    folder: Path, replicates: Mapping[str, Array], data_sha256: str, config: EvaluateConfig
) -> None:
    """Write `replicates.json`.

    Files with equal `data_sha256`, `seed` and `num_replicates` may be subtracted entry by entry;
    the 2.5 and 97.5 percentiles are the interval of the difference.
    """
    record = {
        "data_sha256": data_sha256,
        "seed": config.seed,
        "num_replicates": config.num_replicates,
        "scores": {
            name: [_round(float(value)) for value in values] for name, values in replicates.items()
        },
    }
    write_json(folder / REPLICATES, record)


def _round(value: float) -> float:
    """Round to six digits, so that machines with another order of summation write the same file. No
    score is more accurate."""
    return float(f"{value:.6g}")


def _nest(scores: Mapping[str, float]) -> dict[str, Any]:
    """`{"a/b": 1}` as `{"a": {"b": 1}}`."""
    tree: dict[str, Any] = {}
    for name, value in scores.items():
        *parents, leaf = name.split("/")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[leaf] = int(value) if parents[-1:] == ["counts"] else value
    return tree
