"""A run to compare, from a folder or from MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdm.tracking.registry.replicates import Replicates

Curve = Sequence[tuple[float, float]]  # pictures seen, value
MAX_PICTURES = 12  # pictures of a run on the page, with the lowest seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run to compare. Anything but the names may be missing; the page says what is missing.

    Args:
        name: Short name for headings.
        origin: Folder that it was read from, or MLflow's id.
        status: MLflow's status; may be empty.
        params: Params of all stages, under stage.name.
        facts: Versions of code and data, by name.
        scores: Scores by name.
        replicates: Bootstrap replicates of the scores.
        curves: Curves by stage and metric, such as `diffusion/loss`.
        pictures: Picture files by seed.
        costs: Costs by stage, then by name; see `pdm.tracking.records.costs`.
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
