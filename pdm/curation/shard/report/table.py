"""The table of decisions by columns, for charts and samples.

One column of numbers is in memory at a time, 8 bytes a row, beside a few short words of each row: a
million rows take some 100 MB. Rows are numbered in key order. A key is a hash, so that the first
rows of any kind are a fair sample of that kind.
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


class Decided:
    """What `curate` decided on every row.

    Raises:
        BadInput: The table is missing or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = load_columns(folder, ("key", "outcome", "reason", "status"))
        self.kept = self._is("outcome", "kept")
        self.fetched = self._is("status", "ok")

    def __len__(self) -> int:
        return len(self._table)

    def dropped_for(self, reason: str) -> Mask:
        """The rows that are not kept for one reason."""
        return self._is("reason", reason) & ~self.kept

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Number of rows for each outcome and reason, most first; that of kept ones is empty."""
        counted = self._table.group_by(["outcome", "reason"]).aggregate([([], "count_all")])
        found = {
            (row["outcome"], row["reason"] or ""): row["count_all"] for row in counted.to_pylist()
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def numbers(self, *names: str) -> list[Numbers]:
        """Columns of numbers; NaN stands for what was not measured."""
        table = load_columns(self._folder, names)
        return [pc.cast(table[name], pa.float64()).to_numpy() for name in names]

    def counts(self, names: Sequence[str], where: Mask) -> list[tuple[str, int]]:
        """How often each combination of words stands in some rows, the most frequent first."""
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
        """The rows that were dropped for the sake of one."""
        same = pc.fill_null(pc.equal(names["duplicate_of"], keeper), False)
        return np.flatnonzero(same.to_numpy())

    def keepers(self) -> pa.Table:
        """For each row the key of the picture that is kept instead, or null."""
        return load_columns(self._folder, ("duplicate_of",))

    def rows(self, keys: Sequence[str]) -> dict[str, Row]:
        """Whole rows by key, in key order."""
        return {row["key"]: row for row in load_matching(self._folder, "key", keys)}

    def _is(self, column: str, word: str) -> Mask:
        same: Mask = pc.fill_null(pc.equal(self._table[column], word), False).to_numpy()
        return same
