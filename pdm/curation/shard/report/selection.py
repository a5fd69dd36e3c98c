"""Which pictures the report shows: a few of every kind, however many there are."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from pdm.curation.limits import Bound, Score
from pdm.curation.shard.report.reasons import DUPLICATES, in_order
from pdm.curation.shard.report.table import Decided, Mask, Numbers, Places

MAX_KEPT = 48
MAX_PER_REASON = 12
MAX_GROUPS = 12
MAX_PER_GROUP = 5
MAX_CLOSE = 4  # on either side of a limit
MAX_UNFETCHED = 10  # of each reason
CLOSE = 2.0  # a value within this factor of a limit is close to it


@dataclass(frozen=True, slots=True)
class Sample:
    """Some pictures of a kind, by key, and how many there are."""

    keys: list[str]
    count: int


@dataclass(frozen=True, slots=True)
class Group:
    """A kept picture and what was dropped for its sake."""

    keeper: str
    duplicates: Sample


@dataclass(frozen=True, slots=True)
class CloseCalls:
    """The pictures nearest to a limit: dropped for it, and kept. The nearest stand first."""

    bound: Bound
    outside: Sample
    inside: Sample


def kept(decided: Decided) -> Sample:
    """Of the pictures that are kept."""
    return _sample(decided, decided.kept, MAX_KEPT)


def unfetched(decided: Decided) -> dict[str, Sample]:
    """Of the rows without a picture, by reason."""
    return _by_reason(decided, ~decided.fetched & ~decided.kept, MAX_UNFETCHED, ())


def dropped(decided: Decided) -> dict[str, Sample]:
    """Of the fetched pictures that are not kept, by reason; duplicates apart, see `groups`."""
    return _by_reason(decided, decided.fetched & ~decided.kept, MAX_PER_REASON, DUPLICATES)


def groups(decided: Decided) -> tuple[list[Group], int]:
    """Of the groups of duplicates the largest, and the number of all."""
    table = decided.keepers()
    counted = pc.value_counts(pc.drop_null(table["duplicate_of"])).to_pylist()
    ranked = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    shown = []
    for one in ranked[:MAX_GROUPS]:
        places = decided.duplicates_of(one["values"], table)[:MAX_PER_GROUP]
        shown.append(Group(one["values"], Sample(decided.keys(places), one["counts"])))
    return shown, len(ranked)


def close_calls(score: Score, bound: Bound, values: Numbers, decided: Decided) -> CloseCalls:
    """The pictures that another value of one limit would decide otherwise first."""
    margins = bound.sign * (values - bound.value)  # NaN where nothing was measured
    close = _is_close(values, bound.value) | (np.abs(margins) <= score.step)
    outside = (margins < 0) & close & decided.dropped_for(bound.reason)
    inside = (margins >= 0) & close & decided.kept
    return CloseCalls(
        bound, *(_nearest(decided, mask, np.abs(margins)) for mask in (outside, inside))
    )


def _is_close(values: Numbers, limit: float) -> Mask:
    if not limit:
        return ~np.isnan(values)
    close: Mask = (values >= limit / CLOSE) & (values <= limit * CLOSE)
    return close


def _nearest(decided: Decided, mask: Mask, distances: Numbers) -> Sample:
    places = np.flatnonzero(mask)
    order = np.argsort(distances[places], kind="stable")[:MAX_CLOSE]
    return Sample(decided.keys(places[order]), len(places))


def _by_reason(
    decided: Decided, among: Mask, limit: int, without: tuple[str, ...]
) -> dict[str, Sample]:
    reasons = {reason for _, reason in decided.outcomes()} - {"", *without}
    samples = {
        reason: _sample(decided, among & decided.dropped_for(reason), limit)
        for reason in in_order(reasons)
    }
    return {reason: sample for reason, sample in samples.items() if sample.count}


def _sample(decided: Decided, mask: Mask, limit: int) -> Sample:
    places: Places = np.flatnonzero(mask)
    return Sample(decided.keys(places[:limit]), len(places))
