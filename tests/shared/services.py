"""Services that tests of several files share: a start costs seconds of the processor, and one that
waits for the end of the run takes a part of a core all the time."""

import contextlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, TypeVar

import pytest

Handle = TypeVar("Handle")


class SharedService(Generic[Handle]):
    """Runs from the first test that asks for it to the last file in a row that uses it.

    Args:
        fixture: Name of the fixture through which tests ask for it.
    """

    def __init__(self, fixture: str) -> None:
        self.fixture = fixture
        self._block = contextlib.ExitStack()
        self._running: list[Handle] = []

    def started(self, start: Callable[[], AbstractContextManager[Handle]]) -> Handle:
        """Enter the block that runs the service, unless it runs, and return what the block gave."""
        if not self._running:
            self._running.append(self._block.enter_context(start()))
        return self._running[0]

    def end_unless_used_by_file_of(self, item: pytest.Item | None) -> None:
        """Call this after each test, with the one that comes next."""
        if not self._running:
            return
        if item is None or item.path not in files_that_use(self.fixture, item.session.items):
            self._running.clear()
            self._block.close()


def files_that_use(fixture: str, items: Iterable[pytest.Item]) -> set[Path]:
    """Files with a test that uses a fixture."""
    return {item.path for item in items if fixture in item.fixturenames}
