"""Progress lines for a stage, through `logging`, so that they read the same in a terminal, in DVC's
output and in Prefect's log."""

import logging
import time

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts finished items and now and then logs how many, how fast, and how long it will take.

    Args:
        name: What is being done, the first word of every line.
        total: Number of items, those finished before this process included.
        unit: What an item is, in the plural.
        done: Items that an earlier process finished; they do not count towards the speed.
    """

    def __init__(self, name: str, total: int, unit: str = "images", done: int = 0) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._done_before = done
        self._began = self._last_line = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more items; log a line if the last one is old enough or this is the end."""
        self.done += count
        now = time.monotonic()
        if self.done < self.total and now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        speed = (self.done - self._done_before) / max(now - self._began, 1e-9)
        left = as_clock((self.total - self.done) / speed) if speed else "?"
        line = (
            f"{self.name}: {self.done:,} of {self.total:,} {self.unit}, {speed:,.1f}/s, {left} left"
        )
        logger.info("%s%s", line, f"  {note}" if note else "")

    def reach(self, done: int) -> None:
        """Count up to `done` items, as `advance` does; a number that was reached says nothing."""
        if done > self.done:
            self.advance(done - self.done)


def as_clock(seconds: float) -> str:
    """A duration as 1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
