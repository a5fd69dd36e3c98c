import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape import urls
from pdm.curation.scrape.addresses import blocked_reason
from pdm.curation.scrape.entries import Entry, keyed, normal_form
from pdm.curation.scrape.fetch_errors import outcome_of_error
from pdm.errors import BadInput


def listed(path, **settings) -> list[Entry]:
    """Entries of a list whose hosts are not looked up, so that no test needs a network."""
    settings = {"allow_private_addresses": True} | settings
    return urls.entries(UrlListSource(kind="urls", path=str(path), **settings))


def verdicts(tmp_path, *lines: str, **settings) -> list[str | None]:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = listed(path, **settings)
    return [entry.outcome and entry.outcome.reason for entry in found]


def test_a_text_list_keeps_commas_and_skips_blank_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\ufeffhttp://a.example/x,y.jpg?size=1,2\n\n  \nhttp://b.example/z.jpg\r\n")
    assert [e.url for e in listed(path)] == [
        "http://a.example/x,y.jpg?size=1,2",
        "http://b.example/z.jpg",
    ]
    assert listed(path)[0].source == "urls:list.txt"


def test_a_table_brings_captions_and_licences_from_columns_of_any_name(tmp_path):
    csv_path = tmp_path / "list.csv"
    csv_path.write_text('link,words,rights\n"http://a.example/x,y.jpg","a, b",CC0-1.0\n')
    parquet_path = tmp_path / "list.parquet"
    table = {"link": ["http://a.example/x,y.jpg"], "words": [b"a, b"], "rights": ["CC0-1.0"]}
    pq.write_table(pa.table(table), parquet_path)
    columns = {"url_column": "link", "caption_column": "words", "licence_column": "rights"}
    for path in (csv_path, parquet_path):
        (entry,) = listed(path, **columns)
        assert (entry.url, entry.caption, entry.licence) == (
            "http://a.example/x,y.jpg",
            "a, b",
            "CC0-1.0",
        )


def test_captions_that_are_no_clean_text_are_mended(tmp_path):
    path = tmp_path / "list.parquet"
    captions = [b"caf\xe9\0", None, b"x" * 20_000]
    table = {"url": [f"http://a.example/{n}" for n in range(3)], "caption": captions}
    pq.write_table(pa.table(table), path)
    found = [entry.caption for entry in listed(path, caption_column="caption")]
    assert found == ["caf\ufffd", None, "x" * urls.MAX_CAPTION_CHARACTERS]


@pytest.mark.parametrize("suffix", ["txt", "csv", "parquet"])
def test_a_missing_list_is_bad_input(tmp_path, suffix):
    with pytest.raises(BadInput, match="no such URL list"):
        listed(tmp_path / f"absent.{suffix}")


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", "\n \n"), ("a.csv", "url\n"), ("b.csv", "url,caption\n")]
)
def test_a_list_without_rows_is_bad_input(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadInput, match="names no URL"):
        listed(path)


def test_a_missing_column_is_named_together_with_those_there_are(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("link,words\nhttp://a.example/x.jpg,hello\n")
    with pytest.raises(BadInput, match="no column named 'url'; its columns are 'link', 'words'"):
        listed(path)


def test_a_column_that_stands_twice_is_bad_input(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("url,url\nhttp://a.example/x.jpg,http://b.example/x.jpg\n")
    with pytest.raises(BadInput, match="2 columns named 'url'"):
        listed(path)


def test_a_damaged_table_is_bad_input(tmp_path):
    path = tmp_path / "list.parquet"
    path.write_bytes(b"PAR1 this is no parquet")
    with pytest.raises(BadInput, match="cannot be read as parquet"):
        listed(path)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.example/x.jpg",
        "data:image/png;base64,AAAA",
        "//a.example/x.jpg",
        "not a url",
        "http://",
        "http:///x.jpg",
        "http://user:secret@a.example/x.jpg",
        "http://a.example:99999/x.jpg",
        "http://[::1/x.jpg",
        "http://a b.example/x.jpg",
        "http://a.example/" + "x" * 5000,
    ],
)
def test_what_is_no_plain_web_address_is_dropped(tmp_path, url):
    assert verdicts(tmp_path, url) == ["bad_url"]


def test_an_empty_cell_is_a_row_without_a_url(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("url,n\n,1\nhttp://a.example/x.jpg,2\n")
    assert [e.outcome and e.outcome.reason for e in listed(path)] == ["bad_url", None]


def test_credentials_are_not_written_down(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("http://user:secret@a.example/x.jpg")
    (entry,) = listed(path)
    assert "secret" not in entry.url
    assert "secret" not in str(entry.outcome)


def test_urls_go_over_the_wire_in_ascii(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("http://bücher.example/ä b/100%25.jpg?q=ü#part", encoding="utf-8")
    (entry,) = listed(path)
    assert entry.fetch_url == "http://xn--bcher-kva.example/%C3%A4%20b/100%25.jpg?q=%C3%BC"
    assert entry.url == "http://bücher.example/ä b/100%25.jpg?q=ü#part"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
    ],
)
def test_addresses_of_this_machine_and_its_networks_are_dropped(tmp_path, host):
    line = f"http://{host}/x.jpg"
    assert verdicts(tmp_path, line, allow_private_addresses=False) == ["blocked_address"]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_not_blocked(address):
    assert blocked_reason(address) is None


def test_private_addresses_may_be_allowed(tmp_path):
    assert verdicts(tmp_path, "http://127.0.0.1:8000/x.jpg") == [None]


def test_a_url_that_stands_again_is_dropped_and_has_a_key_of_its_own():
    same = ["http://A.example/x", "http://a.example:80/x", "http://A.example/x"]
    entries = [Entry(identity=url, url=url, source="s", fetch_url=url) for url in same]
    found = keyed(entries)
    assert [e.outcome and e.outcome.reason for e in found.values()] == [
        None,
        "duplicate_url",
        "duplicate_url",
    ]
    assert len(found) == 3


def test_a_key_is_the_start_of_the_sha256_of_the_url():
    url = "http://a.example/x"
    (key,) = keyed([Entry(identity=url, url=url, source="s", fetch_url=url)])
    assert key == "3e79a540943f299ad939"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("http://a.example", "http://a.example/", True),
        ("https://a.example:443/x#top", "https://A.EXAMPLE/x", True),
        ("http://a.example/x", "https://a.example/x", False),
        ("http://a.example/x", "http://a.example/X", False),
        ("http://a.example/x?a=1", "http://a.example/x?a=2", False),
    ],
)
def test_normal_forms(first, second, same):
    assert (normal_form(first) == normal_form(second)) is same


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("HTTP Error 404: Not Found", "failed", "http_404"),
        ("HTTP Error 503: Service Unavailable", "failed", "http_503"),
        ("<urlopen error timed out>", "failed", "timeout"),
        ("The read operation timed out", "failed", "timeout"),
        ("<urlopen error [Errno 111] Connection refused>", "failed", "connect"),
        ("<urlopen error [Errno -2] Name or service not known>", "failed", "dns"),
        ("[Errno 104] Connection reset by peer", "failed", "reset"),
        ("IncompleteRead(10 bytes read, 90 more expected)", "failed", "short_body"),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED]>", "failed", "tls"),
        (
            "HTTP Error 302: The HTTP server returned a redirect error that would lead to an "
            "infinite loop.\nThe last 30x error message was:\nFound",
            "failed",
            "redirect",
        ),
        ("Use of image disallowed by X-Robots-Tag directive", "dropped", "opted_out"),
        ("'ascii' codec can't encode character", "dropped", "bad_url"),
        ("something new", "failed", "other"),
    ],
)
def test_what_img2dataset_reports_becomes_a_reason(text, status, reason):
    outcome = outcome_of_error(text)
    assert (outcome.status, outcome.reason) == (status, reason)
