"""Clusters that cannot be joined end in one clear error, soon."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import ray

from flows.errors import StageFailed
from pdm.errors import BadInput, Unavailable
from pdm.machine.cluster import ray_session


@pytest.fixture(autouse=True)
def no_session():
    """Tests of other files may have left one, which would be used."""
    ray.shutdown()


def enter() -> None:
    with ray_session():
        pytest.fail("there is no cluster")


def test_an_address_at_which_nothing_listens_is_named_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"no Ray cluster at RAY_ADDRESS '{address}'.*refused"):
        enter()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:port"])
def test_what_is_no_address_is_bad_input(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(BadInput, match=f"RAY_ADDRESS '{address}'; start it, set"):
        enter()


def test_an_empty_address_is_bad_input(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(BadInput, match="RAY_ADDRESS is empty"):
        enter()


def ray_handles_sigterm(**options: object) -> None:
    """What `ray.init` does to signals where it starts a cluster."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


def test_sigterm_in_a_session_cleans_up_and_ends_with_a_code_that_is_worth_a_retry(monkeypatch):
    monkeypatch.setattr(ray, "init", ray_handles_sigterm)
    monkeypatch.setattr(ray, "shutdown", lambda: cleaned.append(True))
    before, cleaned = signal.getsignal(signal.SIGTERM), list[bool]()
    with pytest.raises(SystemExit) as ended, ray_session():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert StageFailed("", ended.value.code).is_retryable
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_while_ray_starts_ends_with_the_same_code(monkeypatch):
    def start(**options: object) -> None:
        ray_handles_sigterm()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ray, "init", start)
    with pytest.raises(SystemExit) as ended:
        enter()
    assert ended.value.code == 128 + signal.SIGTERM


def test_a_handler_of_sigterm_that_was_there_before_a_session_stays(monkeypatch):
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    monkeypatch.setattr(ray, "init", ray_handles_sigterm)
    try:
        with ray_session():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == [signal.SIGTERM]


def test_a_local_ray_that_does_not_start_in_time_is_tried_again(monkeypatch, caplog):
    calls, left = [], []

    def late_at_first(**options: object) -> None:
        calls.append(options)
        if len(calls) < 3:
            # What such a start leaves behind: it looks like a part of Ray, and sleeps.
            command = [sys.executable, "-c", "import time; time.sleep(60)", "/x/ray/gcs_server"]
            left.append(subprocess.Popen(command))
            raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", late_at_first)
    with ray_session(num_cpus=1):
        assert len(calls) == 3
    assert [psutil.pid_exists(each.pid) for each in left] == [False, False]
    assert caplog.text.count("trying again") == 2


def test_other_faults_of_a_start_are_not_tried_again(monkeypatch):
    calls = []

    def broken(**options: object) -> None:
        calls.append(options)
        raise RuntimeError("no executable")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", broken)
    with pytest.raises(Unavailable, match="no executable"):
        enter()
    assert len(calls) == 1


def test_a_local_ray_that_does_not_start_in_time_is_unavailable(monkeypatch):
    def late(**options: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(Unavailable, match=r"Ray did not start on this machine.*timed out"):
        enter()
