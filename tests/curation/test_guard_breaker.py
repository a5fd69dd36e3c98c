"""Telling a dead network from dead hosts. Case B14 of the list of faults."""

import pytest
from guard_settings import settings

from pdm.curation.scrape.guard.addresses import anything
from pdm.curation.scrape.guard.breaker import DEAD_HOST_FAULTS, Breaker
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.fetcher import Fetcher, Target


def test_it_opens_after_so_many_silent_hosts_in_a_row():
    breaker = Breaker(3)
    for host in ("a", "b"):
        breaker.unreached(host)
    assert not breaker.is_open
    breaker.unreached("c")
    assert breaker.is_open


def test_an_answer_ends_the_row():
    breaker = Breaker(3)
    for host in ("a", "b"):
        breaker.unreached(host)
    breaker.answered("c")
    breaker.unreached("d")
    assert not breaker.is_open


def test_one_host_that_never_answered_is_no_sign_of_a_dead_network():
    breaker = Breaker(3)
    breaker.answered("alive")
    for _ in range(100):
        breaker.unreached("dead")
    assert not breaker.is_open


def test_a_host_that_answered_before_is():
    breaker = Breaker(3)
    breaker.answered("alive")
    for _ in range(3):
        breaker.unreached("alive")
    assert breaker.is_open


def test_nothing_but_silence_is_one_too():
    breaker = Breaker(3)
    for _ in range(3):
        breaker.unreached("only")
    assert breaker.is_open


def test_a_host_that_is_silent_again_and_again_is_not_asked_any_more(tmp_path):
    asked = []

    def resolve(host, port):
        asked.append(host)
        raise TimeoutError

    fetcher = Fetcher(settings(max_unreached_in_a_row=1000), resolve_name=resolve)
    for number in range(DEAD_HOST_FAULTS + 5):
        target = Target(url=f"http://dead.example/{number}", rule=anything)
        with pytest.raises(Fault):
            fetcher.fetch(target, tmp_path / "body")
    assert len(asked) == DEAD_HOST_FAULTS
