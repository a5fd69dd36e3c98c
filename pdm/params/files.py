"""Checks the files that a params file names by path and sha256."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pdm.config import Params
from pdm.config.file import FileConfig
from pdm.files import check_sha256


def check_files(params: Params) -> None:
    """Compare each `FileConfig` with its file, so that an edited file is noticed although the
    params, by which DVC decides, are the same.

    Raises:
        BadInput: A file cannot be read, or has another sha256.
    """
    for key, file in _files_in(params, ""):
        check_sha256(Path(file.path), file.sha256, key)


def _files_in(config: Any, key: str) -> Iterator[tuple[str, FileConfig]]:
    if isinstance(config, FileConfig):
        yield key, config
    elif dataclasses.is_dataclass(config):
        for field in dataclasses.fields(config):
            name = f"{key}.{field.name}" if key else field.name
            yield from _files_in(getattr(config, field.name), name)
