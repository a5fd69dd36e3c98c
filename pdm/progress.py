"""Progress lines for a stage, through `logging`, so that they read the same in a terminal, in DVC's
output and in Prefect's log."""

import logging
import time

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts finished items, and logs number, speed and remaining time at intervals.

    Speed and time are those since the first items were finished, which often took much longer, as
    processes start and files are read. So the line of the first items has neither.

    Args:
        name: Name of the work, the first word of every line.
        total: Number of items, including those finished by an earlier process.
        unit: Plural noun for the items.
        done: Items finished by an earlier process; they do not count towards the speed.
    """

    def __init__(self, name: str, total: int, unit: str = "images", done: int = 0) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self._done_before = done
        self._last_line = time.monotonic()
        self._first_done: float | None = None  # when

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count more items; log a line if the last one is old enough or this is the end. Without
        items, do nothing."""
        if not count:
            return
        self.done += count
        now = time.monotonic()
        pace = self._pace(now)
        if self.done < self.total and now - self._last_line < SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        line = f"{self.name}: {self.done:,} of {self.total:,} {self.unit}{pace}"
        logger.info("%s%s", line, f"  {note}" if note else "")

    def _pace(self, now: float) -> str:
        if self._first_done is None:
            self._first_done, self._done_before = now, self.done
            return ""
        speed = (self.done - self._done_before) / max(now - self._first_done, 1e-9)
        left = as_clock((self.total - self.done) / speed) if speed else "?"
        return f", {speed:,.1f}/s, {left} left"

    def reach(self, done: int) -> None:
        """Count up to `done` items, like `advance`; do nothing if that number was reached
        before."""
        if done > self.done:
            self.advance(done - self.done)


def as_clock(seconds: float) -> str:
    """A duration as 1:02:03, 2:03 below an hour, or 1,234 hours from 100 hours on."""
    if seconds >= 100 * 3600:
        return f"{seconds / 3600:,.0f} hours"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
