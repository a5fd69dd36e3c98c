"""The version of what a stage computes, from `versions.yaml`."""

from functools import cache
from pathlib import Path

from pdm.yaml12 import read_yaml

FILE = Path(__file__).with_name("versions.yaml")


@cache
def versions() -> dict[str, int]:
    """Return the version of each stage that has one."""
    found: dict[str, int] = read_yaml(FILE.read_text(encoding="utf-8"))
    return found
