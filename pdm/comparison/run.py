"""One run as the comparison sees it, wherever it was read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdm.tracking.registry.replicates import Replicates

Curve = Sequence[tuple[float, float]]  # pictures seen, value
MAX_PICTURES = 12  # of a run on the page, those of the lowest seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Anything may be missing but the names; what is missing is said on the page.

    Args:
        name: Short, for headings.
        origin: Where it was read: a folder, or MLflow's id.
        status: MLflow's word, or nothing.
        params: Of all stages, under stage.name.
        facts: Versions of code and data, by what they are of.
        scores: By name.
        replicates: Behind the scores' intervals.
        curves: By stage and metric, such as `diffusion/loss`.
        pictures: Files by seed.
        costs: By stage, then by name; see `pdm.tracking.records.costs`.
    """

    name: str
    origin: str
    status: str = ""
    params: Mapping[str, str]
    facts: Mapping[str, str]
    scores: Mapping[str, float]
    replicates: Replicates | None
    curves: Mapping[str, Curve]
    pictures: Mapping[int, Path]
    costs: Mapping[str, Mapping[str, float]]
