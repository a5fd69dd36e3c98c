"""Reads URL lists in CSV, as databases, spreadsheets and people write them.

Reading a table wrongly is worse than refusing it: an unclosed quotation mark swallows the rows up
to the next one, and an unquoted comma cuts a URL in two. Rows that do not fit the header are
refused with the number of their line.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pdm.curation.scrape.guard.transport.urls import strip_credentials
from pdm.curation.scrape.sources.url_lists.columns import require_columns
from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

MAX_CELL_LINES = 10
_MAX_CELL_CHARACTERS = 2**24  # csv stops at 2^17 by itself
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_URL_START = re.compile(r"https?://", re.IGNORECASE)
_EXCEL_DELIMITER = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # a first line for Excel alone


def read_csv(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Rows as dictionaries by column. Blank lines are skipped.

    The delimiter is the first of `DELIMITERS` for which the header has all named columns; without
    one, it is the one for which the error about the missing columns can say most.

    Args:
        path: The file.
        columns: Field -> column; these must be in the header.

    Raises:
        BadInput: A column is missing or there twice, a row has more or fewer cells than the header,
            or a cell seems to contain the rows after it.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with open_text(path) as file:
        num_skipped, header = _header_line(file)
        delimiter = _delimiter(header, columns.values())
        lines = itertools.chain([header], file)
        table = _numbered_rows(path, lines, delimiter, num_skipped)
        names = [name.strip() for name in next(table, (0, []))[1]]
        _require_header(path, columns, names, num_skipped + 1)
        for line, row in table:
            if len(row) != len(names):
                raise BadInput(_wrong_width(path, line, len(row), len(names), delimiter))
            yield dict(zip(names, row, strict=True))


def _header_line(file: TextIO) -> tuple[int, str]:
    """The number of skipped lines (blank, or Excel's `sep=;`), and the line after them."""
    for number, line in enumerate(file):
        if line.strip() and not _EXCEL_DELIMITER.fullmatch(line):
            return number, line
    return 0, ""


def _delimiter(header: str, columns: Iterable[str]) -> str:
    wanted = set(columns)

    def fit(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        num_found = len(wanted & {name.strip() for name in names})
        return num_found, 0 if num_found == len(wanted) else len(names)

    return max(DELIMITERS, key=fit)


def _numbered_rows(
    path: Path, lines: Iterator[str], delimiter: str, num_skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """(number of the first line, cells) of each row that is not blank."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = num_skipped + reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadInput(f"{path}, line {line}: {_quotation_advice(error)}") from error
        if row is None:
            return
        if num_skipped + reader.line_num > line:
            _refuse_swallowed_rows(path, line, row)
        if len(row) > 1 or "".join(row).strip():
            yield line, row


def _quotation_advice(error: csv.Error) -> str:
    if "field limit" in str(error) or "unexpected end" in str(error):
        return (
            "the row that begins here has a quotation mark that is never closed; close it, or, if "
            "it is part of the text, quote the cell and double the mark"
        )
    return (
        f"the row that begins here has text after a closing quotation mark ({error}); double "
        "quotation marks that are part of the text, and close the others"
    )


def _refuse_swallowed_rows(path: Path, line: int, row: list[str]) -> None:
    """Refuse a row with a cell that looks like several rows."""
    for cell in row:
        first, *others = _LINE_END.split(cell)
        if len(others) >= MAX_CELL_LINES or any(_URL_START.search(other) for other in others):
            start = strip_credentials(first)[:40]
            raise BadInput(
                f"{path}, line {line}: a cell that begins with {start!r} has {len(others) + 1} "
                "lines and seems to contain the rows after it; is a quotation mark not closed? If "
                "it is one text, put it on one line, or save the list as parquet"
            )


def _require_header(
    path: Path, columns: Mapping[str, str], names: Sequence[str], line: int
) -> None:
    if any(_URL_START.match(name) for name in names):
        raise BadInput(
            f"{path}, line {line}: a URL where the header should be; add a header such as "
            f"'{','.join(columns.values())}', or, if there is nothing but URLs, rename the list "
            "to .txt"
        )
    require_columns(path, columns, names)


def _wrong_width(path: Path, line: int, num_cells: int, num_columns: int, delimiter: str) -> str:
    cells = f"{num_cells} cell{'s' if num_cells > 1 else ''}"
    if num_cells < num_columns:
        advice = "add the missing cells, or look for an extra quotation mark"
    else:
        advice = f"quote each URL or text that contains a {DELIMITERS[delimiter]}"
        advice += ", or rename the list to .txt" if num_columns == 1 else ""
    return f"{path}, line {line}: {cells}, but the header has {num_columns}; {advice}"
