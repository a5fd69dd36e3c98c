"""Arrays on disk that are larger than memory: files of named arrays, and arrays that grow.

Cache files are safetensors. They are written from and read as memory maps, so that pages are read
when they are needed. Several processes may write the same file at once, and a damaged file counts
as missing.
"""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from pdm.files import atomic_file
from pdm.scratch_folders import scratch_folder

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[np.generic]]

DTYPES: dict[str, np.dtype[Any]] = {  # as safetensors names them
    "F64": np.dtype(np.float64),
    "I64": np.dtype(np.int64),
    "U64": np.dtype(np.uint64),
    "F32": np.dtype(np.float32),
    "I32": np.dtype(np.int32),
}
ALIGNMENT = 8  # bytes, of the first array; so all are aligned, those of 8 bytes coming first


class GrowingArray:
    """An array on disk that gets more and more rows.

    Args:
        path: File to write; it may be removed while the array is in use.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, path.open("wb")
        self._num_rows = 0
        self._like: NDArray[Any] | None = None

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows (n, ...) of one shape and type."""
        self._like = rows[:0]
        self._num_rows += len(rows)
        np.ascontiguousarray(rows).tofile(self._file)

    def array(self) -> NDArray[Any]:
        """All rows, mapped; nothing can be appended from then on.

        Raises:
            ValueError: Nothing was appended.
        """
        self._file.close()
        if self._like is None:
            raise ValueError(f"no rows were appended to {self._path}")
        shape = (self._num_rows, *self._like.shape[1:])
        return _mapped(self._path, self._like.dtype, shape, 0)


def read_arrays(path: Path) -> Arrays | None:
    """Map the arrays of `write_arrays`; None if the file is missing or, with a warning, damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np"):  # checks the header against the size of the file
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        return {
            name: _mapped(
                path,
                DTYPES[entry["dtype"]],
                tuple(entry["shape"]),
                8 + length + entry["data_offsets"][0],
            )
            for name, entry in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        logger.warning("evaluate: %s cannot be read (%s); computing it again", path, error)
        return None


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write a file; equal arrays give equal bytes. The folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a separate folder, because another process may write the same file at the same time.
    with scratch_folder("arrays", path.parent) as own:
        with atomic_file(own / path.name) as temporary:
            save_file(arrays, temporary)
        (own / path.name).replace(path)


def save_file(arrays: Arrays, path: Path) -> None:
    """Write a safetensors file array by array; the library's own function holds a copy of all."""
    named = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {}
    end = 0
    for name, array in named:
        kind = next(kind for kind, dtype in DTYPES.items() if array.dtype == dtype)
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in named:
            np.ascontiguousarray(array).tofile(file)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    if not math.prod(shape):
        return np.empty(shape, dtype)  # an empty file cannot be mapped
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))
