import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdm.config.stages.scrape import UrlListSource
from pdm.curation.scrape.entries import Entry, index_by_key
from pdm.curation.scrape.guard.transport.urls import normalise_url
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.curation.scrape.text import MAX_TEXT_BYTES
from pdm.errors import BadInput


def listed(path, **settings) -> list[Entry]:
    """Entries of a list whose hosts are not looked up, so that no test needs a network."""
    settings = {"allow_private_addresses": True} | settings
    return entries_of_list(UrlListSource(kind="urls", path=str(path), **settings))


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


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"caf\xe9\0", "caf\ufffd"),
        (b"\xed\xa0\x80 half a character", "\ufffd\ufffd\ufffd half a character"),
        ("שלום ‮abc".encode(), "שלום ‮abc"),
        (b"x" * 2**20, "x" * MAX_TEXT_BYTES),
        ("é".encode() * 2**19, "é" * (MAX_TEXT_BYTES // 2)),
        (b" \0 ", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("declared", ["binary", "text"])
def test_captions_are_cleaned(tmp_path, given, kept, declared, caplog):
    path = tmp_path / "list.parquet"
    captions = pa.array([given], pa.binary())
    if declared == "text":  # Arrow does not look whether it is
        captions = pa.Array.from_buffers(pa.string(), 1, captions.buffers())
    pq.write_table(pa.table({"url": ["http://a.example/x"], "caption": captions}), path)
    (entry,) = listed(path, caption_column="caption")
    assert entry.caption == kept


@pytest.mark.parametrize("classes", [["sea", None], [7, None], [b"7", b" "]])
def test_classes_come_from_a_column_of_text_or_numbers_and_may_be_missing(tmp_path, classes):
    path = tmp_path / "list.parquet"
    urls = ["http://a.example/x", "http://a.example/y"]
    pq.write_table(pa.table({"url": urls, "kind": classes}), path)
    found = [entry.class_name for entry in listed(path, class_column="kind")]
    assert found == ["sea" if classes[0] == "sea" else "7", None]


def test_captions_may_be_numbers_and_csv_cells_may_be_large(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": ["http://a.example/x"], "caption": [7]}), path)
    assert listed(path, caption_column="caption")[0].caption == "7"
    path = tmp_path / "list.csv"
    path.write_bytes(b'url,caption\nhttp://a.example/x,"' + b"\xff" * 2**20 + b'"\n')
    (entry,) = listed(path, caption_column="caption")
    assert len(entry.caption.encode()) <= MAX_TEXT_BYTES


def test_authors_and_hashes_come_from_columns_too(tmp_path):
    path = tmp_path / "list.csv"
    digest = "AB" * 32
    path.write_text(f"url,who,digest\nhttp://a.example/x,Ada,{digest}\nhttp://a.example/y,,12\n")
    good, bad = listed(path, author_column="who", sha256_column="digest")
    assert (good.author, good.sha256, good.outcome) == ("Ada", digest.lower(), None)
    assert (bad.author, bad.outcome.reason) == (None, "hash_mismatch")


def test_columns_that_no_setting_names_may_have_any_name_and_type(tmp_path):
    path = tmp_path / "list.parquet"
    table = {"url": ["http://a.example/x"], "key": [1], "status": [[2]], "sha256": [None]}
    pq.write_table(pa.table(table), path)
    assert len(listed(path)) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", 5), ("url", ["http://a.example"]), ("caption", {"en": "x"}), ("licence", 1.5)],
)
def test_a_column_of_the_wrong_type_is_bad_input(tmp_path, field, value):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": ["http://a.example/x"]} | {field: [value]}), path)
    with pytest.raises(BadInput, match=f"column '{field}' has the type .*, not text"):
        listed(path, **{f"{field}_column": field})


def test_a_column_named_for_two_things_is_bad_input(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("url\nhttp://a.example/x\n")
    with pytest.raises(BadInput, match="'url' is named as url and as caption"):
        listed(path, caption_column="url")


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
    with pytest.raises(BadInput, match="has no URLs"):
        listed(path)


def test_a_missing_column_is_named_together_with_those_there_are(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("link,words\nhttp://a.example/x.jpg,hello\n")
    with pytest.raises(BadInput, match="no column named 'url'; its columns are 'link', 'words'"):
        listed(path)


def test_a_repeated_column_is_bad_input(tmp_path):
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
        "http://a.example/" + "x" * 10_000,
        "http://a.example/x\x00y.jpg",
        "http://a.example/x\ty.jpg",
        "http://a..example/x.jpg",
        "http://" + "a" * 70 + ".example/x.jpg",
        "http://a.example%00.b.example/x.jpg",
        "http://ab℀c.example/x.jpg",
        "http://％41.example/x.jpg",
        "http://a\u200cb.example/x.jpg",
        "http://\u0301a.example/x.jpg",
        "http://a.example%2f@b.example/x.jpg",
        "http://%ff.example/x.jpg",
        "http://[fe80::1%25eth0]/x.jpg",
        "http://[::1]b.example/x.jpg",
        "http://[v1.a]/x.jpg",
        "gopher://a.example/x.jpg",
        "javascript:alert(1)",
    ],
)
def test_invalid_urls_are_dropped(tmp_path, url):
    assert verdicts(tmp_path, url) == ["bad_url"]


def test_nothing_is_looked_up_or_opened_while_a_list_is_read(tmp_path, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError(args)

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    lines = ["file:///etc/passwd", "ftp://a.example/x", "http://a.example/x", "http://127.0.0.1/"]
    found = verdicts(tmp_path, *lines, allow_private_addresses=False)
    assert found == ["bad_url", "bad_url", None, None]


def test_an_empty_cell_is_a_row_without_a_url(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("url,n\n,1\nhttp://a.example/x.jpg,2\n")
    assert [e.outcome and e.outcome.reason for e in listed(path)] == ["bad_url", None]


@pytest.mark.parametrize("slashes", ["//", "\\\\", "/", "\\/", ""])
def test_credentials_are_not_written_down(tmp_path, slashes):
    path = tmp_path / "list.txt"
    path.write_text(f"http:{slashes}user:secret@a.example/x.jpg")
    (entry,) = listed(path)
    assert entry.url == f"http:{slashes}a.example/x.jpg"
    assert "secret" not in str(entry.outcome)
    assert entry.outcome.reason == "bad_url"


def test_urls_go_over_the_wire_in_ascii(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("http://bücher.example/ä b/100%25.jpg?q=ü#part", encoding="utf-8")
    (entry,) = listed(path)
    assert entry.fetch_url == "http://xn--bcher-kva.example/%C3%A4%20b/100%25.jpg?q=%C3%BC"
    assert entry.url == "http://bücher.example/ä b/100%25.jpg?q=ü#part"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("http://a.example/x/../y/./z.jpg", "http://a.example/y/z.jpg"),
        ("http://a.example/%2e%2E/x.jpg", "http://a.example/x.jpg"),
        ("http://a.example/x/..", "http://a.example/"),
        ("http://a.example//x/...", "http://a.example//x/..."),
        ("http:\\\\a.example\\x.jpg?a\\b", "http://a.example/x.jpg?a\\b"),
        ("http://a.example\\@b.example/x.jpg", "http://a.example/@b.example/x.jpg"),
        ("http://a.example:80/x.jpg", "http://a.example/x.jpg"),
        ("https://a.example:80/x.jpg", "https://a.example:80/x.jpg"),
        ("http://a.example/[x]|{y}.jpg?q='z'{}", "http://a.example/[x]|%7By%7D.jpg?q=%27z%27{}"),
        ("HTTP://A.Example/X.jpg", "http://a.example/X.jpg"),
    ],
)
def test_urls_are_read_as_browsers_read_them(tmp_path, written, asked):
    path = tmp_path / "list.txt"
    path.write_text(written)
    assert listed(path)[0].fetch_url == asked


def test_a_repeated_url_is_dropped_and_has_another_key():
    same = ["http://A.example/x", "http://a.example:80/x", "http://A.example/x"]
    entries = [Entry(identity=url, url=url, source="s", fetch_url=url) for url in same]
    found = index_by_key(entries)
    assert [e.outcome and e.outcome.reason for e in found.values()] == [
        None,
        "duplicate_url",
        "duplicate_url",
    ]
    assert len(found) == 3


def test_a_key_is_the_start_of_the_sha256_of_the_url():
    url = "http://a.example/x"
    (key,) = index_by_key([Entry(identity=url, url=url, source="s", fetch_url=url)])
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
    assert (normalise_url(first) == normalise_url(second)) is same
