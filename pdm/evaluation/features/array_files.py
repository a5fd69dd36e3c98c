"""Files of named arrays in a cache. Several processes may write the same file at the same time, and
a damaged file counts as missing."""

import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pdm.files import atomic_file

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[np.generic]]


def read_arrays(path: Path) -> Arrays | None:
    """What `write_arrays` wrote; None if there is no file, or, with a warning, a damaged one."""
    if not path.exists():
        return None
    try:
        arrays: Arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        logger.warning("evaluate: %s cannot be read (%s); it is made again", path, error)
        return None
    return arrays


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write a file; equal arrays give equal bytes. The folder need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own, because another process may write the same file at the same time.
    with TemporaryDirectory(prefix=".tmp-", dir=path.parent) as own:
        with atomic_file(Path(own) / path.name) as temporary:
            rows = {name: np.require(array, requirements="C") for name, array in arrays.items()}
            save_file(rows, temporary)
        (Path(own) / path.name).replace(path)
