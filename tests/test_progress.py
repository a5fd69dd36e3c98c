import logging

import pytest

from pdm import progress
from pdm.progress import Progress, as_clock


@pytest.fixture(autouse=True)
def every_line(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level(logging.INFO)


@pytest.fixture
def clock(monkeypatch):
    """Sets the times that are read, one after the other."""

    def clock(*times):
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(left))
        left = iter(times)

    return clock


def test_a_line_tells_how_many_how_fast_and_how_long_still(caplog, clock):
    clock(0.0, 100.0, 110.0)
    counted = Progress("curate", 1200)
    counted.advance(100)
    counted.advance(200)
    assert caplog.messages[-1] == "curate: 300 of 1,200 images, 20.0/s, 0:45 left"


def test_the_first_items_say_nothing_of_the_speed_as_processes_started_meanwhile(caplog, clock):
    clock(0.0, 100.0)
    Progress("curate", 1200).advance(1)
    assert caplog.messages == ["curate: 1 of 1,200 images"]


def test_what_an_earlier_process_finished_does_not_count_for_the_speed(caplog, clock):
    clock(0.0, 10.0, 20.0)
    counted = Progress("curate", 1200, done=1000)
    counted.advance(1)
    counted.advance(100)
    assert caplog.messages[-1] == "curate: 1,101 of 1,200 images, 10.0/s, 0:10 left"


def test_work_without_items_does_not_repeat_the_last_line(caplog):
    counted = Progress("sample", 2)
    counted.advance(2)
    counted.advance(0)
    assert caplog.messages == ["sample: 2 of 2 images"]


def test_a_number_that_was_reached_says_nothing(caplog):
    counted = Progress("shard", 10)
    for done in (4, 4, 3, 10, 10):
        counted.reach(done)
    assert [line.split(",")[0] for line in caplog.messages] == [
        "shard: 4 of 10 images",
        "shard: 10 of 10 images",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59.6, "1:00"),
        (3599, "59:59"),
        (3723, "1:02:03"),
        (359_999, "99:59:59"),
        (360_000, "100 hours"),
        (156_290_000, "43,414 hours"),
    ],
)
def test_durations_read_as_a_clock_or_in_hours(seconds, text):
    assert as_clock(seconds) == text
