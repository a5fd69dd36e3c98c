"""Cache files of named arrays. Several processes may write the same file at once, and a damaged
file counts as missing."""

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
    """Read the arrays of `write_arrays`; None if the file is missing or, with a warning,
    damaged."""
    if not path.exists():
        return None
    try:
        arrays: Arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        logger.warning("evaluate: %s cannot be read (%s); computing it again", path, error)
        return None
    return arrays


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write a file; equal arrays give equal bytes. The folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a separate folder, because another process may write the same file at the same time.
    with TemporaryDirectory(prefix=".tmp-", dir=path.parent) as own:
        with atomic_file(Path(own) / path.name) as temporary:
            rows = {name: np.require(array, requirements="C") for name, array in arrays.items()}
            save_file(rows, temporary)
        (Path(own) / path.name).replace(path)
