"""Compares runs by the bootstrap replicates that `evaluate` writes.

The b-th replicate of every run on one data version resamples the same reference, so what the choice
of reference does to both runs cancels in a_b - b_b. Their 2.5 and 97.5 percentiles are the 95 %
interval of the difference; runs differ where it leaves out zero (Efron and Tibshirani, 1993,
chapter 13).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pdm.errors import BadInput
from pdm.scores.names import direction

FILE_NAME = "replicates.json"
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Replicates:
    """The replicates of all scores of one run.

    Args:
        data_sha256: Version of the shards that it was scored on.
        setting: Seed and number of replicates; replicates compare only if both are equal.
        scores: Replicates by name of the score.
    """

    data_sha256: str
    setting: tuple[int, int]
    scores: Mapping[str, Sequence[float]]

    def comparable(self, other: "Replicates") -> bool:
        """Whether the replicates of both may be subtracted."""
        return (self.data_sha256, self.setting) == (other.data_sha256, other.setting)


def read(path: Path) -> Replicates | None:
    """Read a run's file; None if there is none.

    Raises:
        BadInput: The file cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scores = {
            name: [float(value) for value in values] for name, values in content["scores"].items()
        }
        if any(len(values) != content["num_replicates"] for values in scores.values()):
            raise ValueError("a score does not have num_replicates replicates")
        return Replicates(
            str(content["data_sha256"]),
            (int(content["seed"]), int(content["num_replicates"])),
            scores,
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); run the stage 'evaluate' again"
        ) from error


def difference(a: Replicates, b: Replicates, score: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a's score minus b's; None if it is unknown."""
    if not a.comparable(b) or score not in a.scores or score not in b.scores:
        return None
    low, high = np.percentile(np.subtract(a.scores[score], b.scores[score]), PERCENTILES)
    return float(low), float(high)


def better(a: Replicates, b: Replicates, score: str) -> bool:
    """Whether a's score is better than b's beyond what chance explains."""
    interval, wanted = difference(a, b, score), direction(score)
    if interval is None or wanted == 0:
        return False
    return interval[0] > 0 if wanted > 0 else interval[1] < 0
