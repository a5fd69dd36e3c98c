"""The guard as the stage uses it: with the real img2dataset, and the gateway by itself."""

import errno
import http.client
import json
import socket
import threading
import time
import urllib.error
from concurrent.futures import Future

import pyarrow.parquet as pq
import pytest
from direct import open_directly
from faultserver import JPEG, serving
from guard_settings import settings

from pdm.config.stages.scrape import UrlListSource
from pdm.curation.scrape import scrape
from pdm.curation.scrape.fetching.fetch import interleave_hosts
from pdm.curation.scrape.guard.addresses import any_address, public_only
from pdm.curation.scrape.guard.fetcher import Fetcher, Target
from pdm.curation.scrape.guard.gateway import Gateway
from pdm.errors import Unavailable

LISTED = {
    "ok": ("ok", None),
    "ok#again": ("dropped", "duplicate_url"),
    "status?code=404": ("dropped", "http_404"),
    "flaky/a?times=1": ("ok", None),
    "hop?left=2": ("ok", None),
    "tagged?name=X-Robots-Tag&value=noai": ("dropped", "opted_out"),
    "tagged?name=TDM-Reservation&value=1": ("dropped", "opted_out"),
    "slow": ("dropped", "opted_out"),  # by robots.txt
    "drip": ("failed", "timeout"),
    "endless": ("dropped", "too_large"),
    "announced?bytes=100": ("failed", "short_body"),
    "reset": ("failed", "reset"),
    "loop": ("dropped", "redirect"),
    "ok?changed": ("dropped", "hash_mismatch"),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Rows of a run over a server with every fault, by path, and the server."""
    base = tmp_path_factory.mktemp("guarded")
    with serving() as server:
        server.robots = (200, "User-agent: *\nDisallow: /slow")
        lines = ["url,author,sha256"]
        for path in LISTED:
            lines.append(f"{server.url}/{path},Ada,{'0' * 64 if 'changed' in path else ''}")
        lines.append(f"{server.url.replace('127.0.0.1', 'LOCALHOST')}/ok?1,,")
        lines.append(f"{server.url.replace('127.0.0.1', 'localhost')}/ok?1,,")
        (base / "list.csv").write_text("\n".join(lines))
        (base / "strange.txt").write_text(f"{server.url}/ok?strange\n{server.url}/to?url=/ok\n")
        sources = (
            UrlListSource(
                kind="urls",
                path=str(base / "list.csv"),
                author_column="author",
                sha256_column="sha256",
                allow_private_addresses=True,
            ),
            UrlListSource(kind="urls", path=str(base / "strange.txt")),
        )
        limits = {"respect_robots": True, "retries": 1, "timeout_seconds": 2.0}
        scrape(settings(*sources, num_shards=1, **limits), raw=base / "raw")
        rows = pq.read_table(base / "raw" / "00000.parquet").to_pylist()
        assert [path.name for path in base.glob(".tmp*")] == []
        return {row["url"].partition("/")[2].partition("/")[2]: row for row in rows}, server


@pytest.mark.parametrize("path", LISTED)
def test_every_fault_has_its_outcome_in_the_rows(guarded, path):
    row = next(row for url, row in guarded[0].items() if url.partition("/")[2] == path)
    assert (row["status"], row["reason"]) == LISTED[path]
    assert (row["member"] is None) == (row["status"] != "ok")
    assert row["author"] == "Ada"


def test_the_end_of_redirects_stands_in_the_row(guarded):
    rows, server = guarded
    row = next(row for url, row in rows.items() if "hop" in url)
    assert row["final_url"] == f"{server.url}/ok"


def test_a_clear_no_was_asked_for_once_and_what_robots_txt_forbids_never(guarded):
    hits = guarded[1].hits
    assert hits["/status"] == 1
    assert hits["/slow"] == 0
    assert hits["/flaky/a"] == 2
    assert hits["/reset"] == 2


def test_a_list_from_a_stranger_did_not_reach_the_server(guarded):
    rows, server = guarded
    strange = [row for row in rows.values() if row["source"] == "urls:strange.txt"]
    assert {row["reason"] for row in strange} == {"blocked_address"}
    assert all(row["retrieved_at"] is None for row in strange)
    assert server.hits["/to"] == 0


def test_hosts_are_the_same_in_any_case(guarded):
    rows, _ = guarded
    again = [row["reason"] for url, row in rows.items() if url.endswith("/ok?1")]
    assert sorted(again, key=str) == [None, "duplicate_url"]


def test_without_a_network_the_stage_stops_and_publishes_nothing(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = closed.getsockname()[1]
        urls = tmp_path / "list.txt"
        urls.write_text("".join(f"http://127.0.0.1:{port}/{n}.jpg\n" for n in range(40)))
        source = UrlListSource(kind="urls", path=str(urls), allow_private_addresses=True)
        with pytest.raises(Unavailable, match="is the network down"):
            scrape(settings(source, max_unreached_in_a_row=20), raw=tmp_path / "raw")
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_a_network_that_dies_on_the_way_keeps_what_came_and_the_next_run_fetches_the_rest(tmp_path):
    with serving() as server:
        urls = [f"{server.url}/slow?seconds=0.05&{number}" for number in range(40)]
        (tmp_path / "list.txt").write_text("\n".join(urls))
        source = UrlListSource(
            kind="urls", path=str(tmp_path / "list.txt"), allow_private_addresses=True
        )
        config = settings(source, num_shards=1, max_unreached_in_a_row=20, num_threads=2)
        paths = {"raw": tmp_path / "raw", "cache": tmp_path / "cache"}
        dying = threading.Thread(target=close_after, args=(server, 10))
        dying.start()
        with pytest.raises(Unavailable, match="is the network down"):
            scrape(config, **paths)
        dying.join()
    assert not paths["raw"].exists()
    records = [json.loads(path.read_text()) for path in paths["cache"].glob("*/*.json")]
    assert {record["status"] for record in records} == {"ok"}  # no failure is remembered
    assert 10 <= len(records) < 40

    with serving(port=server.server_port) as server:
        assert scrape(config, **paths) == {"ok": 40, "failed": 0, "dropped": 0}
        assert server.hits["/slow"] == 40 - len(records)


def close_after(server, num_hits):
    """Nobody listens any more once so many pictures were asked for."""
    while server.hits["/slow"] < num_hits:
        time.sleep(0.001)
    server.shutdown()
    server.server_close()


def test_hosts_take_turns():
    urls = ["http://a.example/1", "http://a.example/2", "http://a.example/3", "http://b.example/1"]
    targets = {url: Target(url=url, rule=public_only) for url in urls}
    assert interleave_hosts(targets) == [urls[0], urls[3], urls[1], urls[2]]


@pytest.fixture
def gateway(tmp_path):
    with serving() as server:
        targets = {
            "good": Target(url=f"{server.url}/ok", rule=any_address),
            "bad": Target(url=f"{server.url}/status?code=404", rule=any_address),
            "slow": Target(url=f"{server.url}/slow", rule=any_address),
        }
        seen = []
        fetcher = Fetcher(settings(max_per_host=1, timeout_seconds=20.0))
        found = Gateway(fetcher, targets, tmp_path, lambda *what: seen.append(what[0]))
        with found.running():
            yield found, seen, server, fetcher


def status_of(url: str) -> int:
    try:
        with open_directly(url, timeout=10) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_gateway_gives_the_picture_whole_and_leaves_nothing_behind(gateway, tmp_path):
    found, seen, _, _ = gateway
    with open_directly(found.url_of("good")) as answer:
        assert answer.read() == JPEG
    assert status_of(found.url_of("bad")) == 502
    assert seen == ["good", "bad"]
    assert list(tmp_path.iterdir()) == []


def test_the_gateway_fetches_nothing_that_is_not_in_the_list(gateway):
    found, seen, server, _ = gateway
    base = f"http://127.0.0.1:{found.server_port}"
    for path in ("", "good", "/good", "//good", f"{found.url_of('other')[len(base) :]}", "a/b/c"):
        assert status_of(f"{base}/{path}") == 404
    connection = http.client.HTTPConnection("127.0.0.1", found.server_port, timeout=5)
    connection.request("GET", f"{server.url}/ok")  # as to a proxy
    assert connection.getresponse().status == 404
    assert not seen
    assert not server.hits


@pytest.mark.parametrize("key", ["good", "bad"])
def test_a_full_disk_ends_the_gateway_and_is_reported(tmp_path, key):
    def full(*what) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving() as server:
        paths = {"good": "ok", "bad": "status?code=404"}
        target = Target(url=f"{server.url}/{paths[key]}", rule=any_address)
        found = Gateway(Fetcher(settings()), {key: target}, tmp_path, full)
        with found.running():
            assert status_of(found.url_of(key)) == 503
            assert status_of(found.url_of(key)) == 503
    assert found.error.errno == errno.ENOSPC
    assert server.hits.total() == 1


def test_a_picture_that_is_not_ready_is_awaited_without_using_up_its_time_out(tmp_path):
    ready = Future()
    with serving() as server:
        target = Target(url=f"{server.url}/ok", rule=any_address, ready=ready)
        config = settings(timeout_seconds=0.5)
        found = Gateway(Fetcher(config), {"late": target}, tmp_path, lambda *what: None)
        with found.running():
            codes = []
            asking = threading.Thread(target=lambda: codes.append(status_of(found.url_of("late"))))
            asking.start()
            time.sleep(1.0)
            assert not server.hits
            ready.set_result(None)
            asking.join(5)
    assert codes == [200]
    assert server.hits == {"/ok": 1}


def test_a_picture_that_will_never_be_ready_ends_the_gateway_with_the_reason(tmp_path):
    ready, reason = Future(), ValueError("cannot be drawn")
    ready.set_exception(reason)
    with serving() as server:
        target = Target(url=f"{server.url}/ok", rule=any_address, ready=ready)
        found = Gateway(Fetcher(settings()), {"never": target}, tmp_path, lambda *what: None)
        with found.running():
            assert status_of(found.url_of("never")) == 503
    assert found.error is reason
    assert not server.hits


def test_nobody_waits_for_a_gateway_that_ends(gateway):
    found, _, server, fetcher = gateway
    codes = []

    def ask() -> None:
        codes.append(status_of(found.url_of("good")))

    threading.Thread(target=status_of, args=(found.url_of("slow"),), daemon=True).start()
    while not server.hits["/slow"]:
        time.sleep(0.01)
    waiting = threading.Thread(target=ask)
    waiting.start()
    fetcher.close()
    waiting.join(5)
    assert codes == [503]
