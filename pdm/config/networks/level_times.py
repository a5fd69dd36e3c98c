"""How the per-level times are related: the part of `diffusion.model` with this name."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Fraction, Limits, Positive, check_limits, require
from pdm.counts import counted

Location = Annotated[float, Limits(at_least=0, at_most=10)]
Threshold = Annotated[float, Limits(above=0, at_most=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelTimesConfig:
    """One of three ways to give each level a time of its own. All lists run coarse to fine.

    stages: groups of levels are drawn one after the other, and the earlier ones finish meanwhile
        (decomposable flow matching, DFM, arXiv:2506.19839).
    offset: each level lags behind the coarser one by an equal time (semantic-first diffusion, SFD,
        arXiv:2512.04926).
    shifts: all levels start and end together, each with its own shift of the common time.
    """

    __pydantic_config__: ClassVar = STRICT
    FIELDS: ClassVar = {
        "stages": (
            *("stage_levels", "stage_probabilities", "stage_steps"),
            *("threshold", "finished_location"),
        ),
        "offset": ("offset", "leading_weight"),
        "shifts": ("shifts",),
    }

    kind: Annotated[
        Literal["stages", "offset", "shifts"],
        "stages one after the other (DFM), each level later by an offset (SFD), or shifted times",
    ]
    stage_levels: Annotated[
        tuple[Count, ...] | None, "stages: number of levels in each; they share one time"
    ] = None
    stage_probabilities: Annotated[
        tuple[Fraction, ...] | None, "stages: share of the training on each"
    ] = None
    stage_steps: Annotated[tuple[Positive, ...] | None, "stages: share of the sampler's steps"] = (
        None
    )
    threshold: Annotated[
        Threshold | None, "stages: time of a stage at which the next one begins in sampling"
    ] = None
    finished_location: Annotated[
        Location | None,
        "stages: mean logit of the times of earlier stages in training; deviation 1",
    ] = None
    offset: Annotated[
        Positive | None, "offset: lag of the finest level behind the coarsest; each has a time of 1"
    ] = None
    leading_weight: Annotated[Positive | None, "offset: loss weight of the coarsest level"] = None
    shifts: Annotated[
        tuple[Positive, ...] | None, "shifts: of each level; above 1: it is formed later"
    ] = None

    def __post_init__(self) -> None:
        check_limits(self)
        for name in (name for names in self.FIELDS.values() for name in names):
            value, belongs = getattr(self, name), name in self.FIELDS[self.kind]
            expected = f"a value with kind {self.kind}" if belongs else f"none with {self.kind}"
            require((value is not None) == belongs, name, value, expected)
        if self.stage_levels is not None:
            self._check_stages(self.stage_levels)

    def _check_stages(self, stage_levels: tuple[int, ...]) -> None:
        require(len(stage_levels) >= 2, "stage_levels", stage_levels, "two stages or more")
        for name in ("stage_probabilities", "stage_steps"):
            values, expected = getattr(self, name), f"{len(stage_levels)} numbers, one per stage"
            require(len(values) == len(stage_levels), name, values, expected)
        probabilities = self.stage_probabilities
        assert probabilities is not None
        good = min(probabilities) > 0 and math.isclose(sum(probabilities), 1, abs_tol=1e-6)
        require(good, "stage_probabilities", probabilities, "numbers above 0 with the sum 1")

    def check_num_levels(self, count: int) -> None:
        """Raise `ValueError` unless it describes that many levels."""
        if self.stage_levels is not None:
            good = sum(self.stage_levels) == count
            expected = f"numbers with the sum {count}, the number of levels"
            require(good, "level_times.stage_levels", self.stage_levels, expected)
        if self.shifts is not None:
            expected = f"{counted(count, 'shift')}, one for each level"
            require(len(self.shifts) == count, "level_times.shifts", self.shifts, expected)
        require(count > 1, "level_times", self.kind, "null: there is one level")
