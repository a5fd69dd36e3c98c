"""Bands of rows, the parts in which large pictures come."""

from collections.abc import Iterable, Iterator

import numpy as np

from pdm.data.pixels import Pixels


def cut_rows(bands: Iterable[Pixels], rows: int) -> Iterator[Pixels]:
    """Cut bands of any heights into bands of one height; only the last may be lower."""
    waiting: list[Pixels] = []
    count = 0
    for band in bands:
        start = 0
        while count + len(band) - start >= rows:
            stop = start + rows - count
            yield np.concatenate([*waiting, band[start:stop]])
            waiting, count, start = [], 0, stop
        if start < len(band):
            waiting.append(band[start:].copy())
            count += len(band) - start
    if waiting:
        yield np.concatenate(waiting)
