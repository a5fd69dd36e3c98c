"""Selects the pictures that the report shows: a few of each kind."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pdm.curation.limits import Bound, Score
from pdm.curation.shard.report.reasons import DUPLICATES, sort_reasons
from pdm.curation.shard.report.table import DecisionTable, Mask, Numbers, Places

MAX_KEPT = 48
MAX_PER_REASON = 12
MAX_GROUPS = 12
MAX_PER_GROUP = 5
MAX_CLOSE = 4  # on either side of a limit
MAX_UNFETCHED = 10  # of each reason
CLOSE = 2.0  # values within this factor of a limit are close to it


@dataclass(frozen=True, slots=True)
class Sample:
    """Keys of some pictures of a kind, and the number of all."""

    keys: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class Group:
    """A kept picture and its duplicates, which were dropped."""

    keeper: str
    duplicates: Sample


@dataclass(frozen=True, slots=True)
class CloseCalls:
    """The pictures nearest to a limit: dropped for it, and kept. The nearest come first."""

    bound: Bound
    outside: Sample
    inside: Sample


def sample_kept(decisions: DecisionTable) -> Sample:
    """Pictures that are kept."""
    return _sample(decisions, decisions.kept, MAX_KEPT)


def sample_unfetched(decisions: DecisionTable) -> dict[str, Sample]:
    """Rows without a picture, by reason."""
    return _by_reason(decisions, ~decisions.fetched & ~decisions.kept, MAX_UNFETCHED, ())


def sample_dropped(decisions: DecisionTable) -> dict[str, Sample]:
    """Fetched pictures that are not kept, by reason, without duplicates."""
    return _by_reason(decisions, decisions.fetched & ~decisions.kept, MAX_PER_REASON, DUPLICATES)


def largest_groups(decisions: DecisionTable) -> tuple[list[Group], int]:
    """The largest groups of duplicates, and the number of all groups."""
    table = decisions.keepers()
    counted = pc.value_counts(pc.drop_null(table["duplicate_of"])).to_pylist()
    ranked = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    shown = []
    for one in ranked[:MAX_GROUPS]:
        places = decisions.duplicates_of(one["values"], table)[:MAX_PER_GROUP]
        shown.append(Group(one["values"], Sample(decisions.keys(places), one["counts"])))
    return shown, len(ranked)


def find_close_calls(
    score: Score, bound: Bound, values: Numbers, decisions: DecisionTable
) -> CloseCalls:
    """The pictures whose decision would change first if a limit changed."""
    margins = bound.sign * (values - bound.value)  # NaN where nothing was measured
    close = _is_close(values, bound.value) | (np.abs(margins) <= score.step)
    outside = (margins < 0) & close & decisions.dropped_for(bound.reason)
    inside = (margins >= 0) & close & decisions.kept
    return CloseCalls(
        bound, *(_nearest(decisions, mask, np.abs(margins)) for mask in (outside, inside))
    )


def _is_close(values: Numbers, limit: float) -> Mask:
    if not limit:
        return ~np.isnan(values)
    close: Mask = (values >= limit / CLOSE) & (values <= limit * CLOSE)
    return close


def _nearest(decisions: DecisionTable, mask: Mask, distances: Numbers) -> Sample:
    places = np.flatnonzero(mask)
    order = np.argsort(distances[places], kind="stable")[:MAX_CLOSE]
    return Sample(decisions.keys(places[order]), len(places))


def _by_reason(
    decisions: DecisionTable, among: Mask, limit: int, without: tuple[str, ...]
) -> dict[str, Sample]:
    reasons = {reason for _, reason in decisions.outcomes()} - {"", *without}
    samples = {
        reason: _sample(decisions, among & decisions.dropped_for(reason), limit)
        for reason in sort_reasons(reasons)
    }
    return {reason: sample for reason, sample in samples.items() if sample.count}


def _sample(decisions: DecisionTable, mask: Mask, limit: int) -> Sample:
    places: Places = np.flatnonzero(mask)
    return Sample(decisions.keys(places[:limit]), len(places))
