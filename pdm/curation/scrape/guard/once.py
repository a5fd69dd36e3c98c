"""Doing a thing once for all threads that want its result."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from pdm.curation.scrape.guard.faults import Fault

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Once(Generic[K, V]):
    """Results by key. The first thread that asks for one makes it, the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[K, Future[V]] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The result of `make`, or the exception that it raised.

        A fault that another try may cure is told to those who wait, and not to those who come
        later: they try again.
        """
        with self._lock:
            future = self._made.get(key)
            ours = future is None
            if future is None:
                future = self._made[key] = Future()
        if ours:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - those who wait must not wait for ever
                if isinstance(error, Fault) and error.again:
                    with self._lock:
                        del self._made[key]
                future.set_exception(error)
        return future.result()
