"""Opt-outs in headers and robots.txt, and certificates. Cases B13 and B15 of the list of faults."""

import datetime
import ipaddress
import ssl
import time
from email.message import Message

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from faultserver import serving
from guard_settings import settings

from pdm.curation.scrape.guard.addresses import any_address
from pdm.curation.scrape.guard.consent.opt_outs import find_opt_out
from pdm.curation.scrape.guard.consent.robots import parse_robots
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target


@pytest.fixture
def server():
    with serving() as found:
        yield found


def fetch(path, url, fetcher=None, **changes):
    fetcher = fetcher or Fetcher(settings(**changes))
    try:
        return fetcher.fetch(Target(url=url, rule=any_address), path / "body")
    except FetchError as fault:
        return fault


def headers(*pairs) -> Message:
    message = Message()
    for name, value in pairs:
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("X-Robots-Tag", "noai", "X-Robots-Tag: noai"),
        ("x-robots-tag", "NoImageAI, nofollow", "X-Robots-Tag: noimageai"),
        ("X-Robots-Tag", "nofollow , noml", "X-Robots-Tag: noml"),
        ("X-Robots-Tag", "noindex", "X-Robots-Tag: noindex"),
        ("X-Robots-Tag", "noimageindex", "X-Robots-Tag: noimageindex"),
        ("X-Robots-Tag", "none", "X-Robots-Tag: none"),
        ("X-Robots-Tag", "img2dataset: noai", "X-Robots-Tag: noai"),
        ("X-Robots-Tag", "pyramid-diffusion: nofollow, noindex", "X-Robots-Tag: noindex"),
        ("X-Robots-Tag", "googlebot: noindex", None),
        ("X-Robots-Tag", "googlebot: noindex, nofollow, img2dataset: noai", "X-Robots-Tag: noai"),
        ("X-Robots-Tag", "max-image-preview: large, noai", "X-Robots-Tag: noai"),
        ("X-Robots-Tag", "unavailable_after: 25 Jun 2010 15:00:00 PST", None),
        ("X-Robots-Tag", "all", None),
        ("X-Robots-Tag", "", None),
        ("tdm-reservation", "1", "TDM-Reservation: 1"),
        ("TDM-Reservation", "0", None),
    ],
)
def test_headers_against_the_use_of_a_picture_are_understood(name, value, found):
    assert find_opt_out(headers((name, value))) == found


def test_every_tag_of_several_counts():
    assert find_opt_out(headers(("X-Robots-Tag", "all"), ("X-Robots-Tag", "noai")))


@pytest.mark.parametrize(("name", "value"), [("X-Robots-Tag", "noai"), ("TDM-Reservation", "1")])
def test_an_opted_out_picture_is_dropped_without_its_body(server, tmp_path, name, value):
    url = f"{server.url}/tagged?name={name}&value={value}"
    found = fetch(tmp_path, url)
    assert (found.status, found.reason, found.message) == (
        "dropped",
        "opted_out",
        f"{name}: {value}",
    )
    assert not (tmp_path / "body").exists()
    assert isinstance(fetch(tmp_path, url, respect_opt_outs=False), Fetched)


def test_a_missing_page_is_missing_with_any_headers(server, tmp_path):
    assert fetch(tmp_path, f"{server.url}/status?code=404").reason == "http_404"


ROBOTS = """
User-agent: googlebot
Disallow: /

User-Agent: Pyramid-Diffusion/1.0  # us
User-agent: other
Disallow: /private/
Allow: /private/open
Disallow: /*.gif$
Disallow: /search?q=
Disallow: /caf%C3%A9/
Disallow:

User-agent: *
Disallow: /all
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", True),
        ("/private/x.jpg", False),
        ("/private/open/x.jpg", True),
        ("/a/b.gif", False),
        ("/a/b.gif.jpg", True),
        ("/search?q=1", False),
        ("/search", True),
        ("/caf%c3%a9/x", False),
        ("/all/x", True),
    ],
)
def test_robots_txt_is_read_as_its_standard_says(path, allowed):
    assert parse_robots(ROBOTS).allows(f"http://a.example{path}") is allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: *\nDisallow: /", False),
        ("user-agent:*\ndisallow:/x", False),
        ("User-agent: img2dataset\nDisallow: /\nUser-agent: *\nAllow: /", False),
        ("Disallow: /", True),
        ("<html>not found</html>", True),
        ("User-agent: *\nDisallow: /x\nAllow: /x", True),
        ("\ufeffUser-agent: *\nDisallow: /", False),
        ("", True),
    ],
)
def test_robots_txt_of_any_make(text, allowed):
    assert parse_robots(text).allows("http://a.example/x.jpg") is allowed


def test_a_pattern_made_to_take_for_ever_does_not():
    evil = parse_robots("User-agent: *\nDisallow: /" + "*a" * 5000 + "$")
    began = time.monotonic()
    assert evil.allows("http://a.example/" + "a" * 4000 + "b")
    assert time.monotonic() - began < 0.5


def test_robots_txt_is_fetched_once_per_host_and_obeyed(server, tmp_path):
    server.robots = (200, "User-agent: *\nDisallow: /ok")
    fetcher = Fetcher(settings(respect_robots=True))
    for _ in range(3):
        found = fetch(tmp_path, f"{server.url}/ok", fetcher)
        assert (found.status, found.reason) == ("dropped", "opted_out")
    assert isinstance(fetch(tmp_path, f"{server.url}/hop?left=0", fetcher), FetchError)
    assert isinstance(fetch(tmp_path, f"{server.url}/chunked", fetcher), Fetched)
    assert server.hits["/robots.txt"] == 1
    assert server.hits["/ok"] == 0
    assert isinstance(fetch(tmp_path, f"{server.url}/ok", respect_robots=False), Fetched)


def test_a_host_without_robots_txt_forbids_nothing(server, tmp_path):
    assert isinstance(fetch(tmp_path, f"{server.url}/ok", respect_robots=True), Fetched)


def test_a_robots_txt_that_cannot_be_served_forbids_everything_for_now(server, tmp_path):
    server.robots = (503, "")
    fetcher = Fetcher(settings(respect_robots=True))
    for _ in range(2):
        found = fetch(tmp_path, f"{server.url}/ok", fetcher)
        assert (found.status, found.reason) == ("failed", "robots_unavailable")
    assert server.hits["/robots.txt"] == 1
    assert server.hits["/ok"] == 0


def certified(folder, host: str) -> ssl.SSLContext:
    """For a server; its certificate, signed by itself, lies in `folder` as cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_self_signed_certificate_is_refused(tmp_path):
    with serving(certified(tmp_path, "127.0.0.1")) as server:
        found = fetch(tmp_path, f"{server.url}/ok", retries=3)
        assert (found.status, found.reason) == ("failed", "tls")
        assert not server.hits


def test_a_certificate_must_be_for_the_name_even_though_an_address_is_connected_to(tmp_path):
    with serving(certified(tmp_path, "right.example")) as server:
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        fetcher = Fetcher(settings(), resolve_name=lambda *place: ["127.0.0.1"], tls=trusting)
        port = server.server_port
        assert isinstance(fetch(tmp_path, f"https://right.example:{port}/ok", fetcher), Fetched)
        assert fetch(tmp_path, f"https://wrong.example:{port}/ok", fetcher).reason == "tls"


def test_no_redirect_leads_from_https_to_http(tmp_path, server):
    with serving(certified(tmp_path, "127.0.0.1")) as secure:
        trusting = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        fetcher = Fetcher(settings(), tls=trusting)
        found = fetch(tmp_path, f"{secure.url}/to?url={server.url}/ok", fetcher)
        assert (found.status, found.reason) == ("dropped", "redirect")
        found = fetch(tmp_path, f"{server.url}/to?url={secure.url}/ok", fetcher)
        assert isinstance(found, Fetched)
    assert not server.hits["/ok"]
