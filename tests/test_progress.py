import logging

import pytest

from pdm import progress
from pdm.progress import Progress, as_clock


@pytest.fixture(autouse=True)
def every_line(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level(logging.INFO)


def test_a_line_tells_how_many_how_fast_and_how_long_still(caplog, monkeypatch):
    times = iter([100.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    Progress("curate", 1200).advance(200)
    assert caplog.messages == ["curate: 200 of 1,200 images, 20.0/s, 0:50 left"]


def test_what_an_earlier_process_finished_does_not_count_for_the_speed(caplog, monkeypatch):
    times = iter([0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    Progress("curate", 1200, done=1000).advance(100)
    assert caplog.messages == ["curate: 1,100 of 1,200 images, 10.0/s, 0:10 left"]


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
