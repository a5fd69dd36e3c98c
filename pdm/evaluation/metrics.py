"""`metrics.json` and `replicates.json`: every score with its interval, count and conventions."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.config.evaluate import EvaluateConfig
from pdm.errors import QualityGate
from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.scores import Scores
from pdm.files import write_json

REPLICATES = "replicates.json"


def with_intervals(scores: Scores) -> dict[str, float]:
    """The scores, and `intervals/NAME/low` and `high` for those that have replicates.

    Raises:
        QualityGate: A score is no finite number.
    """
    bad = sorted(name for name, value in scores.values.items() if not math.isfinite(value))
    if bad:
        raise QualityGate(f"{', '.join(bad)} came out as no finite number; look at the samples")
    found = dict(scores.values)
    for name, values in scores.replicates.items():
        low, high = bootstrap.interval(values)
        found |= {f"intervals/{name}/low": low, f"intervals/{name}/high": high}
    return {name: _rounded(value) for name, value in found.items()}


def write_metrics(path: Path, scores: Mapping[str, float], conventions: Mapping[str, str]) -> None:
    """Write scores under nested names, and what they must be quoted with."""
    write_json(path, {**_nested(scores), "conventions": dict(conventions)})


def write_replicates(
    folder: Path, replicates: Mapping[str, Array], data_sha256: str, config: EvaluateConfig
) -> None:
    """Write `replicates.json`.

    Two such files with equal `data_sha256`, `seed` and `num_replicates` may be subtracted entry by
    entry; the 2.5 and 97.5 percentiles of the differences are the interval of the difference.
    """
    record = {
        "data_sha256": data_sha256,
        "seed": config.seed,
        "num_replicates": config.num_replicates,
        "scores": {
            name: [_rounded(float(value)) for value in values]
            for name, values in replicates.items()
        },
    }
    write_json(folder / REPLICATES, record)


def _rounded(value: float) -> float:
    """Six digits, more than any of the scores is good for; so that a repeat on another machine,
    which may sum in another order, gives the same file."""
    return float(f"{value:.6g}")


def _nested(scores: Mapping[str, float]) -> dict[str, Any]:
    """`{"a/b": 1}` as `{"a": {"b": 1}}`."""
    tree: dict[str, Any] = {}
    for name, value in scores.items():
        *parents, leaf = name.split("/")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[leaf] = int(value) if parents == ["counts"] else value
    return tree
