"""The table of decisions, read by columns, for charts and samples.

A few short columns are always in memory, and one column of numbers at a time: about 100 MB for a
million rows. Rows are in key order. Keys are hashes, so the first rows of any kind are a random
sample of it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pdm.data.decisions import Row, load_columns, load_matching

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

NOT_STATED = "not stated"


class DecisionTable:
    """The decisions of `curate`.

    Raises:
        BadInput: The table is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = load_columns(folder, ("key", "outcome", "reason", "status"))
        self.kept = self._equals("outcome", "kept")
        self.fetched = self._equals("status", "ok")

    def __len__(self) -> int:
        return len(self._table)

    def dropped_for(self, reason: str) -> Mask:
        """The rows that were not kept, for this reason."""
        return self._equals("reason", reason) & ~self.kept

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Number of rows by (outcome, reason), largest first; the reason of kept rows is empty."""
        counted = self._table.group_by(["outcome", "reason"]).aggregate([([], "count_all")])
        found = {
            (row["outcome"], row["reason"] or ""): row["count_all"] for row in counted.to_pylist()
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def numbers(self, *names: str) -> list[Numbers]:
        """Columns of numbers; NaN where nothing was measured."""
        table = load_columns(self._folder, names)
        return [pc.cast(table[name], pa.float64()).to_numpy() for name in names]

    def columns(self, names: Sequence[str], where: pa.Array) -> pa.Table:
        """Some columns of some rows."""
        return load_columns(self._folder, names).filter(where)

    def counts(self, names: Sequence[str], where: Mask) -> list[tuple[str, int]]:
        """Counts of each combination of values among some rows, most frequent first."""
        table = load_columns(self._folder, names).filter(pa.array(where))
        counted = table.group_by(list(names)).aggregate([([], "count_all")]).to_pylist()
        listed = [
            (" ".join(row[name] for name in names if row[name]) or NOT_STATED, row["count_all"])
            for row in counted
        ]
        return sorted(listed, key=lambda item: (-item[1], item[0]))

    def keys(self, places: Places) -> list[str]:
        """The keys of some rows."""
        found: list[str] = self._table["key"].take(pa.array(places)).to_pylist()
        return found

    def duplicates_of(self, keeper: str, names: pa.Table) -> Places:
        """The rows that were dropped as duplicates of `keeper`."""
        same = pc.fill_null(pc.equal(names["duplicate_of"], keeper), False)
        return np.flatnonzero(same.to_numpy())

    def keepers(self) -> pa.Table:
        """For each row, the key of the picture that is kept instead, or null."""
        return load_columns(self._folder, ("duplicate_of",))

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Whole rows by key, in key order."""
        return {row["key"]: row for row in load_matching(self._folder, "key", keys)}

    def _equals(self, column: str, word: str) -> Mask:
        same: Mask = pc.fill_null(pc.equal(self._table[column], word), False).to_numpy()
        return same
