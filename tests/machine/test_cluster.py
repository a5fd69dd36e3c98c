"""Clusters that cannot be joined end in one clear error, soon."""

import socket
import time

import pytest
import ray

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


def test_a_local_ray_that_does_not_start_in_time_is_unavailable(monkeypatch):
    def late(**options: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(Unavailable, match=r"Ray did not start on this machine.*timed out"):
        enter()
