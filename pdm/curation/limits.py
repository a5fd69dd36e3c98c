"""Scores of pictures and their limits. All limits are inclusive: a value equal to one passes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pdm.data.decisions import Row

Values = NDArray[np.float64]
MIN: Literal[1] = 1
MAX: Literal[-1] = -1


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of a score.

    Args:
        setting: Its dotted name in section curate.
        sign: 1 for a minimum, -1 for a maximum.
        reason: For which pictures beyond the limit are dropped.
        unless: Name of a setting that switches the limit off.
        fixed: The value, if it is not a setting.
    """

    setting: str
    sign: Literal[1, -1]
    reason: str
    unless: str | None = None
    fixed: float | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit with its value."""

    name: str
    value: float
    sign: Literal[1, -1]
    reason: str

    def margin(self, value: float) -> float:
        """How far inside the limit a value is; negative outside."""
        return self.sign * (value - self.value)


@dataclass(frozen=True, slots=True)
class Score:
    """A number that is compared with limits.

    Args:
        name: One word; the name of its column in the table of decisions, if it has one.
        title: For the report.
        meaning: What it measures, as a noun phrase.
        limits: All that may apply to it.
        axis: Range of the chart's axis; values beyond it are drawn at its ends.
        logarithmic: Whether the chart's axis is logarithmic.
        step: Difference of neighbouring values, for a score of whole numbers.
        columns: The columns that it is computed from, unless it is a column itself.
        formula: Takes arrays of those columns.
    """

    name: str
    title: str
    meaning: str
    limits: tuple[Limit, ...]
    axis: tuple[float, float] = (0.0, 1.0)
    logarithmic: bool = False
    step: float = 0.0
    columns: tuple[str, ...] = ()
    formula: Callable[..., Values] = np.asarray

    def needs(self) -> tuple[str, ...]:
        """The columns that `values` takes, in order."""
        return self.columns or (self.name,)

    def values(self, *columns: Values) -> Values:
        """The score of many pictures; NaN where it was not measured."""
        return self.formula(*columns)

    def of(self, row: Row) -> float | None:
        """The score of one picture, or None if it was not measured."""
        inputs = [np.nan if row[name] is None else float(row[name]) for name in self.needs()]
        value = float(self.values(*map(np.array, inputs)))
        return None if np.isnan(value) else value

    def bounds(self, limits: Mapping[str, Any]) -> list[Bound]:
        """The limits that apply with some settings of section curate."""
        bounds = []
        for limit in self.limits:
            value = limit.fixed if limit.fixed is not None else _setting(limits, limit.setting)
            if value is not None and not (limit.unless and limits[limit.unless]):
                bounds.append(Bound(limit.setting, float(value), limit.sign, limit.reason))
        return bounds


def _setting(limits: Mapping[str, Any], name: str) -> Any:
    part, _, rest = name.partition(".")
    value = limits.get(part)
    return _setting(value, rest) if rest and value is not None else value
