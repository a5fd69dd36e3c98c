"""Proxies that the environment names: none is used, and none gets in the way."""

import os
import socket

import pytest
from faultserver import serving
from guard_settings import settings
from rawserver import answering

from pdm.config.stages.scrape import BuiltinSource, UrlListSource
from pdm.curation.scrape import scrape
from pdm.curation.scrape.fetching.fetch import network_down_message
from pdm.curation.scrape.fetching.img2dataset import command_environment, proxy_variables
from pdm.curation.scrape.guard.addresses import any_address, public_only
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")
DRAWN = BuiltinSource(
    kind="builtin", num_landscapes=1, num_flawed_per_kind=0, width_px=64, height_px=32, seed=0
)


@pytest.fixture
def proxied(monkeypatch):
    """Name a proxy for everything, in small or in capital letters."""
    for name in list(os.environ):
        if name.lower() in NAMES:
            monkeypatch.delenv(name)

    def set_proxy(url: str, upper: bool = False) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name.upper() if upper else name, url)

    return set_proxy


def test_lists_and_built_in_pictures_are_fetched_despite_proxies_that_block_everything(
    tmp_path, proxied, caplog
):
    with answering({}) as refusing, socket.socket() as dead, serving() as server:
        dead.bind(("127.0.0.1", 0))  # bound, but nobody listens
        proxied(refusing.url)
        proxied(f"http://127.0.0.1:{dead.getsockname()[1]}", upper=True)
        server.robots = (200, "User-agent: *\nDisallow: /slow")
        (tmp_path / "list.txt").write_text(f"{server.url}/ok\n{server.url}/hop?left=2\n")
        listed = UrlListSource(
            kind="urls", path=str(tmp_path / "list.txt"), allow_private_addresses=True
        )
        config = settings(listed, DRAWN, respect_robots=True)
        counts = scrape(config, raw=tmp_path / "raw")
    assert counts == {"ok": 3, "failed": 1, "dropped": 1}  # drawn: one too slow, one a 404
    assert server.hits["/robots.txt"] == 1
    assert refusing.targets == []
    assert "images are fetched directly" in caplog.text


def test_a_proxy_is_no_way_around_the_guard(tmp_path, proxied):
    with answering({}) as server:
        proxied(server.url)
        fetcher = Fetcher(settings(respect_robots=True))
        for url in ("http://127.0.0.1:9/x.jpg", "http://169.254.169.254/latest"):
            with pytest.raises(FetchError) as caught:
                fetcher.fetch(Target(url=url, rule=public_only), tmp_path / "body")
            assert caught.value.reason == "blocked_address"
    assert server.targets == []


def test_names_are_looked_up_here_and_not_by_a_proxy(tmp_path, proxied):
    with answering({}) as proxy, serving() as server:
        proxied(proxy.url)
        fetcher = Fetcher(settings(), resolve_name=lambda host, port: ["127.0.0.1"])
        url = f"http://a.example:{server.server_port}/ok"
        found = fetcher.fetch(Target(url=url, rule=any_address), tmp_path / "body")
    assert isinstance(found, Fetched)
    assert proxy.targets == []


def test_a_network_that_only_a_proxy_reaches_is_reported_as_such(proxied):
    assert "proxy" not in network_down_message()
    proxied("http://127.0.0.1:9")
    assert "without a proxy: all_proxy, http_proxy, https_proxy is not" in network_down_message()


def test_img2dataset_knows_of_no_proxy(proxied, monkeypatch):
    proxied("http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.setenv("Socks_Proxy", "socks5://127.0.0.1:9")
    found = {
        name: value for name, value in command_environment().items() if "proxy" in name.lower()
    }
    assert found == {"no_proxy": "127.0.0.1,localhost"}
    assert proxy_variables() == ["all_proxy", "http_proxy", "https_proxy"]
