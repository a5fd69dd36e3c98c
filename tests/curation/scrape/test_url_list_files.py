"""URL lists that are not what they seem are refused with the line or read right; none is lost."""

import codecs
import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdm.config.stages.scrape import UrlListSource
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.errors import BadInput

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COLUMNS = {"caption_column": "caption"}
THREE = ["http://a.example/1.jpg", "http://a.example/2.jpg", "http://a.example/3.jpg"]


def listed(path, **columns):
    return entries_of_list(UrlListSource(kind="urls", path=str(path), **columns))


def refusal(tmp_path, content: str | bytes, name: str = "list.csv", **columns) -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as caught:
        listed(path, **columns)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def table(*captions: str, delimiter: str = ",") -> str:
    rows = [f"{url}{delimiter}{caption}" for url, caption in zip(THREE, captions, strict=True)]
    return "\n".join([f"url{delimiter}caption", *rows]) + "\n"


@pytest.mark.parametrize(
    ("captions", "line", "words"),
    [
        (('"a 20 inch frame', "a boat", "a dune"), 2, "never closed"),
        (("a boat", '"a 20 inch frame', "a dune"), 3, "never closed"),
        (('"a frame', "a boat", 'a "dune"'), 2, "text after a closing quotation mark"),
        (('"a frame', 'a boat"', "a dune"), 2, "seems to contain the rows after it"),
        (('"a frame', "a boat", 'a dune"'), 2, "seems to contain the rows after it"),
        (("a boat", '"a 20" frame"', "a dune"), 3, "text after a closing quotation mark"),
        (("a boat", r'"a \"big\" frame"', "a dune"), 3, "text after a closing quotation mark"),
    ],
)
def test_a_quotation_mark_too_many_is_refused_with_its_line(tmp_path, captions, line, words):
    text = refusal(tmp_path, table(*captions), **COLUMNS)
    assert text.startswith(f", line {line}: ")
    assert words in text


def test_a_stray_quotation_mark_in_an_unnamed_column_is_refused_too(tmp_path):
    text = refusal(tmp_path, table('"a 20 inch frame', "a boat", "a dune"))
    assert text.startswith(
        ", line 2: the row that begins here has a quotation mark that is never closed"
    )


def test_a_cell_of_many_lines_is_refused(tmp_path):
    text = refusal(tmp_path, 'url,caption\na.example/1.jpg,"' + "word\n" * 12 + '"\n')
    assert text.startswith(", line 2: a cell that begins with 'word' has 13 lines")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_stray_quotation_mark_anywhere_loses_no_row(tmp_path, data):
    text = table("a boat", "a dune", "a 20 inch frame")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(len("url,caption\n"), len(text)))
        text = text[:place] + '"' + text[place:]
    path = tmp_path / "list.csv"
    path.write_text(text)
    try:
        num_rows = len(listed(path, **COLUMNS))
    except BadInput:
        return
    assert num_rows == 3


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_what_the_csv_module_writes_is_read_back(tmp_path, captions):
    lines = [" ".join(caption.split()) for caption in captions]
    path = tmp_path / "list.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["url", "caption"])
        writer.writerows(zip([THREE[0]] * len(lines), lines, strict=True))
    assert [entry.caption for entry in listed(path, **COLUMNS)] == [line or None for line in lines]


def test_a_caption_of_a_few_lines_is_one_caption(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(table('"a boat\nat ""night""\n\nin rain"', "a dune", "a frame"))
    assert [entry.caption for entry in listed(path, **COLUMNS)] == [
        'a boat\nat "night"\n\nin rain',
        "a dune",
        "a frame",
    ]


@pytest.mark.parametrize(
    ("row", "cells", "advice"),
    [
        ("http://a.example/a.jpg?w_303,h_170,al_c,A boat", "4 cells", "contains a comma"),
        ("http://a.example/a.jpg,A boat,", "3 cells", "contains a comma"),
        ("http://a.example/a.jpg", "1 cell", "add the missing cells"),
    ],
)
def test_a_row_of_another_width_than_the_header_is_refused_with_its_line(
    tmp_path, row, cells, advice
):
    text = refusal(tmp_path, f"url,caption\n\n{THREE[0]},a dune\n{row}\n{THREE[1]},x\n", **COLUMNS)
    assert text.startswith(f", line 4: {cells}, but the header has 2; ")
    assert advice in text


def test_a_one_column_list_with_a_comma_in_a_url_is_refused_and_says_how_to_list_it(tmp_path):
    text = refusal(tmp_path, "url\nhttp://a.example/a.jpg?w_303,h_170\n")
    assert text.startswith(", line 2: 2 cells, but the header has 1; ")
    assert text.endswith("or rename the list to .txt")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first_line", ["", "sep={}\r\n", "\n  \n"])
def test_the_delimiter_is_found_in_the_header(tmp_path, delimiter, first_line):
    path = tmp_path / "list.csv"
    captions = ["a boat", " ".join({",", ";", "|"} - {delimiter}), f'"a{delimiter} dune"']
    path.write_text(first_line.format(delimiter) + table(*captions, delimiter=delimiter))
    found = [(entry.url, entry.caption) for entry in listed(path, **COLUMNS)]
    assert found == list(zip(THREE, [*captions[:2], f"a{delimiter} dune"], strict=True))


@pytest.mark.parametrize("first_line", ["", "sep=;\n", "\n\n"])
def test_a_semicolon_in_a_url_between_semicolons_is_refused_with_its_line(tmp_path, first_line):
    content = first_line + table("a boat", "a; dune", "a frame", delimiter=";")
    line = 3 + first_line.count("\n")
    text = refusal(tmp_path, content, **COLUMNS)
    assert text.startswith(f", line {line}: 3 cells, but the header has 2; ")
    assert "semicolon" in text


def test_rows_between_other_delimiters_than_the_header_are_refused(tmp_path):
    text = refusal(tmp_path, f"url,caption\n{THREE[0]};a boat\n", **COLUMNS)
    assert text.startswith(", line 2: 1 cell, but the header has 2; ")


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_tells_the_encoding(tmp_path, name, mark, encoding):
    text = "url\r\nhttp://a.example/ü.jpg\r\n" if name == "list.csv" else "http://a.example/ü.jpg"
    path = tmp_path / name
    path.write_bytes(mark + text.encode(encoding))
    assert [entry.url for entry in listed(path)] == ["http://a.example/ü.jpg"]


@pytest.mark.parametrize("name", ["list.csv", "list.txt"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("url\nhttp://a.example/1.jpg".encode("utf-16-le"), ", line 1: NUL bytes"),
        ("url\nhttp://a.example/1.jpg".encode("utf-16-be"), "save the list as UTF-8"),
        (b"\x1f\x8b\x08\0rest", "is compressed by gzip; unpack it"),
        (b"PK\x03\x04rest", "export the list as CSV"),
        (b"PAR1rest", "is a parquet file; name it .parquet"),
    ],
)
def test_another_kind_of_file_says_what_to_do(tmp_path, name, content, words):
    assert words in refusal(tmp_path, content, name)


def test_nul_bytes_cost_only_their_own_row(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"url,caption\nhttp://a.example/\0.jpg,x\n{THREE[0]},a \0boat\n")
    broken, good = listed(path, **COLUMNS)
    assert (broken.outcome.reason, good.outcome, good.caption) == ("bad_url", None, "a boat")


def test_bytes_that_are_not_utf_8_are_counted_and_reported(tmp_path, caplog):
    path = tmp_path / "list.csv"
    path.write_bytes(table("caf\xe9", "a boat", "na\xefve").encode("latin-1"))
    assert len(listed(path, **COLUMNS)) == 3
    assert "bytes that are not UTF-8 became U+FFFD in some rows (2)" in caplog.text


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_missing_column_is_named_beside_those_of_the_tables_own_delimiter(tmp_path, delimiter):
    content = (
        delimiter.join(("url", "caption")) + "\n" + delimiter.join((THREE[0], "a boat")) + "\n"
    )
    said = refusal(tmp_path, content, caption_column="capton")
    assert "no column named 'capton'; its columns are 'url', 'caption'" in said


def test_an_empty_table_is_called_empty(tmp_path):
    assert refusal(tmp_path, "").startswith(" is empty; ")


def test_lines_may_end_as_on_old_macs_and_names_may_have_spaces_around_them(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(f'url , caption\r{THREE[0]}, "a boat, a dune"\r'.encode())
    assert [(e.url, e.caption) for e in listed(path, **COLUMNS)] == [(THREE[0], "a boat, a dune")]


def test_empty_lines_are_skipped_and_empty_cells_are_rows(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"\nurl,caption\n\n{THREE[0]},a\n   \n,\n\n")
    assert [e.outcome and e.outcome.reason for e in listed(path, **COLUMNS)] == [None, "bad_url"]


def test_unnamed_columns_may_be_repeated(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(f"n,url,n,\n1,{THREE[0]},2,\n")
    assert [entry.url for entry in listed(path)] == [THREE[0]]


def test_a_table_without_a_header_is_refused_and_keeps_secrets(tmp_path):
    text = refusal(
        tmp_path, f"http://user:secret@a.example/1.jpg,a boat\n{THREE[1]},b\n", **COLUMNS
    )
    assert text.startswith(", line 1: a URL where the header should be; ")
    assert "'url,caption'" in text
    assert "secret" not in text


def test_a_table_named_txt_is_refused(tmp_path):
    text = refusal(tmp_path, "\n" + table("a", "b", "c"), "list.txt")
    assert text.startswith(", line 2: a header")


def test_a_txt_list_of_tab_separated_rows_says_what_is_wrong(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(f"{THREE[0]}\ta boat\n{THREE[1]}\n")
    tabbed, good = listed(path)
    assert (tabbed.outcome.reason, good.outcome) == ("bad_url", None)
    assert "has a tab" in tabbed.outcome.error_message


@pytest.mark.parametrize("place", [0, 4, 100, 1000, -100])
def test_a_parquet_file_with_damage_at_any_place_is_bad_input(tmp_path, place):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": [f"http://a.example/{n}" for n in range(5000)]}), path)
    content = bytearray(path.read_bytes())
    content[place : place + 20 if place + 20 else None] = b"\xff" * 20
    text = refusal(tmp_path, bytes(content), "list.parquet")
    assert text.startswith(" cannot be read as parquet")


def test_rows_of_parquet_may_hold_what_csv_may_not(tmp_path):
    path = tmp_path / "list.parquet"
    captions = ['"a 20 inch frame', "a\nhttp://b.example/2.jpg\nb", None]
    sink = io.BytesIO()
    pq.write_table(pa.table({"url": [THREE[0], None, THREE[2]], "caption": captions}), sink)
    path.write_bytes(sink.getvalue())
    found = listed(path, **COLUMNS)
    assert [entry.caption for entry in found] == captions
    assert [e.outcome and e.outcome.reason for e in found] == [None, "bad_url", None]
