import json
import math

import pytest

from pdm.events import EventLog, read


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "events.jsonl"


def losses(path):
    return [(event["images_seen"], event["values"]["loss"]) for event in read(path)]


def test_an_absent_log_is_empty(path):
    assert read(path) == []


def test_metrics_are_read_back_in_order(path):
    log = EventLog(path)
    log.metrics({"loss": 0.5}, 16)
    log.metrics({"loss": 0.25}, 32)
    assert losses(path) == [(16, 0.5), (32, 0.25)]
    assert all(event["kind"] == "metrics" and event["seconds"] > 0 for event in read(path))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_named_but_not_written(path, value):
    EventLog(path).metrics({"loss": value, "speed": 3.0}, 16)
    (event,) = read(path)
    assert event["values"] == {"speed": 3.0}
    assert event["nonfinite"] == ["loss"]
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_picture_is_recorded_by_its_place_in_the_run(path):
    EventLog(path).picture("reconstructions", path.parent / "pictures" / "16.png", 16)
    (event,) = read(path)
    assert (event["name"], event["path"]) == ("reconstructions", "pictures/16.png")


def test_a_picture_outside_the_run_is_refused(path, tmp_path):
    with pytest.raises(ValueError, match="elsewhere"):
        EventLog(path).picture("reconstructions", tmp_path / "elsewhere.png", 16)


def test_a_resumed_run_drops_what_came_after_its_checkpoint(path):
    log = EventLog(path)
    for images_seen in (16, 32, 48):
        log.metrics({"loss": 1 / images_seen}, images_seen)
    resumed = EventLog(path, images_seen=32)
    resumed.metrics({"loss": 7.0}, 48)
    assert losses(path) == [(16, 1 / 16), (32, 1 / 32), (48, 7.0)]


def test_a_fresh_run_starts_with_an_empty_log(path):
    EventLog(path).metrics({"loss": 0.5}, 16)
    EventLog(path)
    assert read(path) == []


def test_a_line_that_was_cut_off_is_left_out(path):
    EventLog(path).metrics({"loss": 0.5}, 16)
    with path.open("a") as file:
        file.write('{"kind": "metrics", "images_s')
    assert losses(path) == [(16, 0.5)]
    EventLog(path, images_seen=16).metrics({"loss": 0.25}, 32)
    assert losses(path) == [(16, 0.5), (32, 0.25)]


@pytest.mark.parametrize("rubbish", ["\x00\x00\x00\n", "[1]\n", "\n", "{}\n", "\ufffd\n"])
def test_a_line_that_a_crash_garbled_is_left_out(path, rubbish):
    EventLog(path).metrics({"loss": 0.5}, 16)
    with path.open("a") as file:
        file.write(rubbish)
    assert losses(path) == [(16, 0.5)]


def test_names_with_other_alphabets_and_line_separators_survive(path):
    EventLog(path).metrics({"Verlust \u2028 é": 1.0}, 16)
    (event,) = read(path)
    assert event["values"] == {"Verlust \u2028 é": 1.0}
