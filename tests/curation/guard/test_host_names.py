"""Host names lead where browsers go: UTS 46, non-transitional."""

import idna
import pytest
from guard_settings import settings as limits
from hypothesis import given, settings
from hypothesis import strategies as st
from rawserver import answering

from pdm.curation.scrape.guard.addresses import any_address
from pdm.curation.scrape.guard.fetcher import Fetcher, Target
from pdm.curation.scrape.guard.transport.host_names import ascii_name
from pdm.curation.scrape.guard.transport.urls import normalise_url, to_request_url

PICTURE = b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff\xe0 picture"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("straße.example", "xn--strae-oqa.example"),  # the rule of 2003 goes to strasse.example
        ("κλαρα-σωλις.example", "xn----ylba7abgd9bnh0e.example"),
        ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),
        ("ΣΩΛΙΣ.example", "xn--uxadxc1a.example"),  # capital sigma is never the final one
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("b%C3%BCcher.example", "xn--bcher-kva.example"),
        ("bücher。example．", "xn--bcher-kva.example"),
        ("☃.example", "xn--n3h.example"),
        ("I❤NY.example", "xn--iny-4r6a.example"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("a\u00adb.example", "ab.example"),
        ("my_pics.example", "my_pics.example"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
    ],
)
def test_a_host_name_is_converted_as_browsers_do(name, asked):
    assert to_request_url(f"http://{name}:8080/x.jpg") == f"http://{asked}:8080/x.jpg"
    assert normalise_url(to_request_url(f"http://{name}/")) == f"http://{asked}/"


@settings(max_examples=500, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_what_the_rule_of_2008_allows_has_its_form(name):
    try:
        expected = idna.encode(name, uts46=True).decode().rstrip(".")
    except ValueError:
        return
    assert ascii_name(name.replace("%", "%25")) == expected


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_every_name_is_plain_ascii_or_refused(name):
    try:
        found = ascii_name(name)
    except ValueError:
        return
    assert found.isascii()
    assert not set(found) & set(' \t\r\n/\\?#@:%<>[]^`{|}\0"')
    assert ascii_name(found) == found


@pytest.mark.parametrize("name", ["straße.example", "☃.example", "نامه\u200cای.example"])
def test_picture_and_robots_txt_are_requested_from_the_same_host(tmp_path, name):
    looked_up = []

    def resolve(host, port):
        looked_up.append(host)
        return ["127.0.0.1"]

    with answering({"/x.jpg": PICTURE}) as server:
        url = to_request_url(f"http://{name}:{server.port}/x.jpg")
        fetcher = Fetcher(limits(respect_robots=True), resolve_name=resolve)
        found = fetcher.fetch(Target(url=url, rule=any_address), tmp_path / "body")
    right = f"xn--{name.partition('.')[0].encode('punycode').decode()}.example"
    assert found.final_url == f"http://{right}:{server.port}/x.jpg"
    assert looked_up == [right]
    assert server.targets == ["/robots.txt", "/x.jpg"]
    assert server.hosts == [f"{right}:{server.port}"] * 2


def test_a_redirect_to_an_international_name_leads_to_it(tmp_path):
    answers = {"/y.jpg": PICTURE}
    with answering(answers) as server:
        to = f"http://straße.example:{server.port}/y.jpg".encode()
        answers["/x.jpg"] = b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % to
        fetcher = Fetcher(limits(), resolve_name=lambda host, port: ["127.0.0.1"])
        target = Target(url=f"http://a.example:{server.port}/x.jpg", rule=any_address)
        found = fetcher.fetch(target, tmp_path / "body")
    assert found.final_url == f"http://xn--strae-oqa.example:{server.port}/y.jpg"
