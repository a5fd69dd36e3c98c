"""Computes a result once for all threads that ask for it at the same time or later."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from pdm.curation.scrape.guard.errors import FetchError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Results by key. The first thread that asks computes it; the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[K, Future[V]] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The result of `make`, or the exception that it raised.

        A retryable error reaches the threads that wait for it, and is then forgotten, so that
        later ones try again.
        """
        with self._lock:
            future = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
        if is_first:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - or the others would wait for ever
                if isinstance(error, FetchError) and error.retryable:
                    with self._lock:
                        del self._futures[key]
                future.set_exception(error)
        return future.result()
