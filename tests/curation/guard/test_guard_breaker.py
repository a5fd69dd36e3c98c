"""Telling a dead network from dead hosts. Case B14 of the list of faults."""

import pytest
from guard_settings import settings

from pdm.curation.scrape.guard.addresses import any_address
from pdm.curation.scrape.guard.circuit_breaker import MAX_FAILURES_OF_HOST, CircuitBreaker
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Fetcher, Target


def test_it_opens_after_the_maximum_of_silent_hosts_in_a_row():
    breaker = CircuitBreaker(3)
    for host in ("a", "b"):
        breaker.record_unreached(host)
    assert not breaker.is_open
    breaker.record_unreached("c")
    assert breaker.is_open


def test_a_response_ends_the_row():
    breaker = CircuitBreaker(3)
    for host in ("a", "b"):
        breaker.record_unreached(host)
    breaker.record_response("c")
    breaker.record_unreached("d")
    assert not breaker.is_open


def test_one_host_that_never_responded_does_not_open_the_breaker():
    breaker = CircuitBreaker(3)
    breaker.record_response("alive")
    for _ in range(100):
        breaker.record_unreached("dead")
    assert not breaker.is_open


def test_a_host_that_responded_before_is():
    breaker = CircuitBreaker(3)
    breaker.record_response("alive")
    for _ in range(3):
        breaker.record_unreached("alive")
    assert breaker.is_open


def test_nothing_but_silence_is_one_too():
    breaker = CircuitBreaker(3)
    for _ in range(3):
        breaker.record_unreached("only")
    assert breaker.is_open


def test_a_host_that_fails_repeatedly_is_not_tried_again(tmp_path):
    asked = []

    def resolve(host, port):
        asked.append(host)
        raise TimeoutError

    fetcher = Fetcher(settings(max_unreached_in_a_row=1000), resolve_name=resolve)
    for number in range(MAX_FAILURES_OF_HOST + 5):
        target = Target(url=f"http://dead.example/{number}", rule=any_address)
        with pytest.raises(FetchError):
            fetcher.fetch(target, tmp_path / "body")
    assert len(asked) == MAX_FAILURES_OF_HOST
