"""The logs of a run are followed at the cost of their length."""

import json
import sys
from pathlib import Path

import pytest

from pdm.events import EventLog
from pdm.tracking.records.record import Sent
from pdm.tracking.records.run_log import EVENTS, SYSTEM, RunLog


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def steps(lines):
    return [line["images_seen"] for line in lines]


def send(lines, sent):
    sent.steps |= {name: line["images_seen"] for line in lines for name in line["values"]}


def bytes_read_by_this_process():
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel counts the bytes")
def test_following_a_run_reads_each_byte_of_its_logs_about_once(folder):
    log, sent = RunLog(folder, 0.0), Sent()
    events = EventLog(folder / EVENTS)
    line = json.dumps({"kind": "metrics", "images_seen": 1, "seconds": 1.0, "values": {"cpu": 1.0}})
    began = bytes_read_by_this_process()
    for step in range(400):
        events.metrics({"loss": 0.5}, step)
        with (folder / SYSTEM).open("a") as file:
            file.write(line.replace("1,", f"{step},", 1) + "\n")
        send(log.unsent(sent), sent)
    read = bytes_read_by_this_process() - began
    written = sum((folder / name).stat().st_size for name in (EVENTS, SYSTEM))
    assert written <= read < 2 * written
    assert sent.steps == {"loss": 399, "cpu": 399}


def test_while_nothing_arrives_lines_wait_and_are_not_read_again(folder):
    log, sent = RunLog(folder, 0.0), Sent()
    events = EventLog(folder / EVENTS)
    events.metrics({"loss": 0.5}, 10)
    assert steps(log.unsent(sent)) == [10]
    events.metrics({"loss": 0.5}, 20)
    assert steps(log.unsent(sent)) == [10, 20]
    send(log.unsent(sent), sent)
    assert log.unsent(sent) == []


def test_half_a_line_is_taken_when_the_rest_of_it_is_there(folder):
    log, sent = RunLog(folder, 0.0), Sent()
    EventLog(folder / EVENTS).metrics({"loss": 0.5}, 10)
    text = (folder / EVENTS).read_text()
    (folder / EVENTS).write_text(text[:20])
    assert log.unsent(sent) == []
    with (folder / EVENTS).open("a") as file:
        file.write(text[20:])
    assert steps(log.unsent(sent)) == [10]


def test_a_resumed_runs_shorter_log_is_read_whole_without_what_has_arrived(folder):
    log, sent = RunLog(folder, 0.0), Sent()
    events = EventLog(folder / EVENTS)
    for step in (10, 20, 30):
        events.metrics({"loss": 0.5}, step)
    send(log.unsent(sent), sent)
    for _ in range(3):  # the system may give the new file the number of an old one
        resumed = EventLog(folder / EVENTS, images_seen=20)
        resumed.metrics({"loss": 0.5, "other": 1.0}, 30)
        resumed.metrics({"loss": 0.5}, 40)
        lines = log.unsent(sent)
        assert [(line["images_seen"], sorted(line["values"])) for line in lines[-2:]] == [
            (30, ["other"]),
            (40, ["loss"]),
        ]


def test_a_metric_that_is_never_finite_is_named(folder):
    log = RunLog(folder, 0.0)
    EventLog(folder / EVENTS).metrics({"loss": float("nan")}, 10)
    log.unsent(Sent())
    assert log.nonfinite == {"loss"}


def test_lines_of_an_earlier_run_are_left_out(folder):
    EventLog(folder / EVENTS).metrics({"loss": 0.5}, 10)
    later = json.loads((folder / EVENTS).read_text())["seconds"] + 1
    assert RunLog(folder, later).unsent(Sent()) == []
