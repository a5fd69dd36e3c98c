"""HTTP as servers in the wild speak it: what a browser would show comes through."""

import gzip
import zlib

import pytest
from guard_settings import settings
from rawserver import answering

from pdm.curation.scrape.guard.addresses import any_address
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target

# Bodies would be names of tests otherwise, and not the same in all workers.
BY_TYPE = {"ids": lambda value: "bytes" if isinstance(value, bytes) else None}
JPEG = b"\xff\xd8\xff\xe0 picture " * 20 + b"\xff\xd9"
WHOLE_RANGE = f"Content-Range: bytes 0-{len(JPEG) - 1}/{len(JPEG)}"
RAW_DEFLATE = zlib.compress(JPEG, wbits=-zlib.MAX_WBITS)


def response(body: bytes = JPEG, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *headers, "", ""]).encode("latin-1") + body


def length(body: bytes = JPEG) -> str:
    return f"Content-Length: {len(body)}"


def get(tmp_path, raw: bytes, path: str = "/x.jpg", **changes) -> Fetched | FetchError:
    with answering({path: raw}) as server:
        return get_from(tmp_path, f"{server.url}{path}", **changes)


def get_from(tmp_path, url: str, **changes) -> Fetched | FetchError:
    try:
        return Fetcher(settings(**changes)).fetch(
            Target(url=url, rule=any_address), tmp_path / "body"
        )
    except FetchError as fault:
        return fault


def assert_is_the_picture(tmp_path, found: Fetched | FetchError) -> None:
    assert isinstance(found, Fetched), (found.reason, found.message)
    assert (tmp_path / "body").read_bytes() == JPEG


@pytest.mark.parametrize(
    "coding", ["none", "utf-8", "binary", "aws-chunked", "identity, identity", "", "image/jpeg"]
)
def test_an_unknown_coding_counts_as_none(tmp_path, coding):
    raw = response(JPEG, f"Content-Encoding: {coding}", length())
    assert_is_the_picture(tmp_path, get(tmp_path, raw))


@pytest.mark.parametrize(
    ("codings", "body"),
    [
        (["gzip"], gzip.compress(JPEG)),
        (["x-gzip"], gzip.compress(JPEG)),
        (["deflate"], zlib.compress(JPEG)),
        (["deflate"], RAW_DEFLATE),
        (["deflate"], gzip.compress(JPEG)),
        (["aws-chunked, gzip"], gzip.compress(JPEG)),
        (["gzip, utf-8"], gzip.compress(JPEG)),
        (["GZIP", "none"], gzip.compress(JPEG)),
        (["gzip, gzip"], gzip.compress(gzip.compress(JPEG))),
        (["deflate", "gzip"], gzip.compress(RAW_DEFLATE)),
        (["gzip, deflate"], zlib.compress(gzip.compress(JPEG))),
        (["gzip"], gzip.compress(JPEG[:50]) + gzip.compress(JPEG[50:])),
        (["gzip"], gzip.compress(JPEG) + bytes(100)),
    ],
    **BY_TYPE,
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 2**20])
def test_of_a_list_of_codings_the_known_ones_are_undone(tmp_path, codings, body, piece_bytes):
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    headers = [f"Content-Encoding: {coding}" for coding in codings]
    raw = response(chunks, *headers, "Transfer-Encoding: chunked")
    assert_is_the_picture(tmp_path, get(tmp_path, raw))


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ("br", "'br'"),
        ("zstd", "'zstd'"),
        ("aws-chunked, br", "'br'"),
        (", ".join(["gzip"] * 6), "6 codings"),
    ],
)
def test_codings_that_we_cannot_undo_are_failures_that_name_them(tmp_path, coding, words):
    found = get(tmp_path, response(JPEG, f"Content-Encoding: {coding}"))
    assert (found.status, found.reason) == ("failed", "bad_response")
    assert words in found.message


@pytest.mark.parametrize("coding", ["none", "gzip", "deflate", "gzip, gzip", "none, deflate, gzip"])
def test_the_limit_applies_to_the_output_of_every_coding(tmp_path, coding):
    body = bytes(3 * 2**20)
    for name in coding.split(", "):
        body = {"gzip": gzip.compress, "deflate": zlib.compress, "none": bytes}[name](body)
    found = get(tmp_path, response(body, f"Content-Encoding: {coding}"), timeout_seconds=20.0)
    assert (found.status, found.reason) == ("dropped", "too_large")
    assert not (tmp_path / "body").exists() or (tmp_path / "body").stat().st_size <= 2**20


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_that_breaks_off_may_be_tried_again(tmp_path, coding):
    body = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](JPEG)[:-6]
    found = get(tmp_path, response(body, f"Content-Encoding: {coding}"))
    assert (found.status, found.reason, found.retryable) == ("failed", "short_body", True)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
CHUNKED = b"%x;name=value\r\n%s\r\n0\r\n" % (len(JPEG), JPEG)


@pytest.mark.parametrize(
    "raw",
    [
        response(),  # until the connection ends
        response(JPEG, length(), status="HTTP/1.1 200"),
        response(JPEG, length(), status="HTTP/1.1 200 "),
        response(JPEG, length(), status="http/1.1 200 ok"),
        response(JPEG, length(), status="HTTP/1.0 200 Tr\xe8s bien"),
        response(JPEG, length(), status="HTTP/2 200"),
        response(JPEG, length(), status="HTTP/1.1 203 Non-Authoritative Information"),
        response(JPEG, WHOLE_RANGE, status="HTTP/1.1 206 "),
        INTERIM + response(JPEG, length()),
        b"HTTP/1.1 100 Continue\r\n\r\n" + 3 * INTERIM + response(JPEG, length()),
        b"\r\n" + response(JPEG, length()),
        response(JPEG, length()).replace(b"\r\n", b"\n"),
        response(JPEG, "Content-Type: text/html", length()),
        response(JPEG, "Content-Type:", length()),
        response(JPEG, length(), length()),
        response(JPEG, f"{length()}, {len(JPEG)}"),
        response(JPEG, "Content-Length: many"),
        response(JPEG, "Content-Length: -1"),
        response(JPEG, f"Content-Length: {len(JPEG) + 10}"),  # the server counts wrongly
        response(JPEG + b"more", length()),
        response(CHUNKED + b"\r\n", "Transfer-Encoding: chunked"),
        response(CHUNKED + b"Expires: 0\r\nX-Sum: 5\r\n\r\n", "Transfer-Encoding: chunked"),
        response(CHUNKED + b"\r\n", "Transfer-Encoding: Chunked", "Content-Length: 5"),
        response(CHUNKED + b"\r\n", "Transfer-Encoding: identity, chunked"),
        response(CHUNKED + b"\r\n", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
        response(CHUNKED[:-3], "Transfer-Encoding: chunked"),  # without the last chunk
        response(CHUNKED + b"\r\n", "no header at all", "Transfer-Encoding: chunked"),
        response(CHUNKED + b"\r\n", "Transfer-Encoding : chunked"),
        response(JPEG, "Caf\xe9: au lait", "X: \xff\xfe", length()),
        response(JPEG, "X-Long: a", "\tfolded", length()),
    ],
    **BY_TYPE,
)
def test_a_picture_that_a_browser_would_show_comes_through(tmp_path, raw):
    assert_is_the_picture(tmp_path, get(tmp_path, raw))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (response(JPEG[:-9], length()), "short_body"),
        (response(CHUNKED[:-40], "Transfer-Encoding: chunked"), "short_body"),
        (response(JPEG, "Content-Range: bytes 0-9/500", status="HTTP/1.1 206 Part"), "http_206"),
        (response(JPEG, "Content-Range: bytes 9-499/500", status="HTTP/1.1 206 Part"), "http_206"),
        (
            response(JPEG, f"Content-Range: bytes 0-{'9' * 5000}/1", status="HTTP/1.1 206 Part"),
            "http_206",
        ),
        (response(JPEG, status="HTTP/1.1 204 Nothing"), "http_204"),
        (response(JPEG, status="HTTP/1.1 OK"), "bad_response"),
        (INTERIM, "reset"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**19, "bad_response"),
        (INTERIM * 10_000, "bad_response"),
    ],
    **BY_TYPE,
)
def test_an_incomplete_picture_is_a_failure(tmp_path, raw, reason):
    found = get(tmp_path, raw)
    assert (found.status, found.reason) == ("failed", reason)


@pytest.mark.parametrize("before", ["no header at all", "X-Server : odd", "X: a\rb", "Caf\xe9: x"])
@pytest.mark.parametrize("header", ["X-Robots-Tag: noai", "tdm-reservation: 1"])
def test_an_opt_out_below_a_broken_header_is_heard(tmp_path, before, header):
    found = get(tmp_path, response(JPEG, before, header, length()))
    assert (found.status, found.reason) == ("dropped", "opted_out")


def test_an_opt_out_is_heard_in_each_of_several_headers(tmp_path):
    found = get(tmp_path, response(JPEG, "X-Robots-Tag: all", "X-Robots-Tag: noai", length()))
    assert found.reason == "opted_out"


def test_a_robots_txt_in_gzip_is_understood(tmp_path):
    robots = gzip.compress(b"User-agent: *\nDisallow: /x")
    answers = {
        "/robots.txt": response(robots, "Content-Encoding: gzip", length(robots)),
        "/x.jpg": response(),
        "/y.jpg": response(),
    }
    with answering(answers) as server:
        assert get_from(tmp_path, f"{server.url}/x.jpg", respect_robots=True).reason == "opted_out"
        found = get_from(tmp_path, f"{server.url}/y.jpg", respect_robots=True)
        assert_is_the_picture(tmp_path, found)


@pytest.mark.parametrize(
    "robots",
    [
        response(b"User-agent: *", "Content-Encoding: br"),
        response(b"User-agent: *", "Content-Length: 500"),
    ],
    **BY_TYPE,
)
def test_a_robots_txt_that_cannot_be_read_forbids_for_now(tmp_path, robots):
    with answering({"/robots.txt": robots, "/x.jpg": response()}) as server:
        found = get_from(tmp_path, f"{server.url}/x.jpg", respect_robots=True)
    assert (found.status, found.reason) == ("failed", "robots_unavailable")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("y.jpg", "/a/y.jpg"),
        ("../y.jpg", "/y.jpg"),
        ("./b/../y.jpg", "/a/y.jpg"),
        ("/b\\y.jpg", "/b/y.jpg"),
        ("?q=1", "/a/x.jpg?q=1"),
        ("  /y.jpg\t", "/y.jpg"),
        ("/y z.jpg", "/y%20z.jpg"),
        ("/\u00fc.jpg", "/%C3%BC.jpg"),
        ("/y.jpg#part", "/y.jpg"),
        ("//{place}/y.jpg", "/y.jpg"),
        ("HTTP://{place}/y.jpg", "/y.jpg"),
        ("http:\\\\{place}\\y.jpg", "/y.jpg"),
        ("/[y]|~.jpg?a='b'^{{}}", "/[y]|~.jpg?a=%27b%27^{{}}"),
    ],
)
def test_redirects_lead_where_browsers_go(tmp_path, location, target):
    target = target.format()
    answers = {target: response()}
    with answering(answers) as server:
        place = f"127.0.0.1:{server.port}"
        to = location.format(place=place).encode()
        answers["/a/x.jpg"] = b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % to
        assert_is_the_picture(tmp_path, get_from(tmp_path, f"{server.url}/a/x.jpg"))
    assert server.targets == ["/a/x.jpg", target]


def test_a_redirect_in_latin_1_leads_to_the_bytes_that_it_names(tmp_path):
    redirect = b"HTTP/1.1 301 Moved\r\nLocation: /caf\xe9.jpg\r\n\r\n"
    with answering({"/x.jpg": redirect, "/caf%E9.jpg": response()}) as server:
        assert_is_the_picture(tmp_path, get_from(tmp_path, f"{server.url}/x.jpg"))
