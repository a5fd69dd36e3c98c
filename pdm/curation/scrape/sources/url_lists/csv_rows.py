"""Reading URL lists in CSV, as databases, spreadsheets and people write them.

A table that is read wrongly costs more than one that is refused: a quotation mark that is never
closed swallows all rows up to the next one, and a comma in a URL makes another URL of it. Whatever
does not fit the header is bad input, and the message names the line.
"""

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pdm.curation.scrape.guard.transport.urls import without_credentials
from pdm.curation.scrape.sources.url_lists.columns import require_columns
from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

MAX_CELL_LINES = 10
_MAX_CELL_CHARACTERS = 2**24  # csv stops at 2^17 by itself
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_URL_START = re.compile(r"https?://", re.IGNORECASE)
_EXCEL_DELIMITER = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # a first line for Excel alone


def csv_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Rows by column. Lines without any text are skipped.

    The delimiter is the first of `DELIMITERS` under which the header has all named columns.

    Args:
        path: The file.
        columns: Field -> column; other columns are not looked at.

    Raises:
        BadInput: A column is missing or stands twice, a row has more or fewer cells than the
            header, or a cell seems to have swallowed the rows after it.
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
    """The first line that is text and not for Excel alone, and how many stand before it."""
    for number, line in enumerate(file):
        if line.strip() and not _EXCEL_DELIMITER.fullmatch(line):
            return number, line
    return 0, ""


def _delimiter(header: str, columns: Iterable[str]) -> str:
    wanted = set(columns)
    for delimiter in DELIMITERS:
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        if wanted <= {name.strip() for name in names}:
            return delimiter
    return ","


def _numbered_rows(
    path: Path, lines: Iterator[str], delimiter: str, num_skipped: int
) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the number of the line that it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = num_skipped + reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadInput(f"{path}, line {line}: {_quotation_fault(error)}") from error
        if row is None:
            return
        if num_skipped + reader.line_num > line:
            _require_nothing_swallowed(path, line, row)
        if len(row) > 1 or "".join(row).strip():
            yield line, row


def _quotation_fault(error: csv.Error) -> str:
    if "field limit" in str(error) or "unexpected end" in str(error):
        return (
            "a quotation mark in the row that begins here is never closed; close it, or, if it is "
            "part of the text, put the cell in quotation marks and double it"
        )
    return (
        f"text follows a closing quotation mark in the row that begins here ({error}); double "
        "quotation marks that are part of the text, and close the others"
    )


def _require_nothing_swallowed(path: Path, line: int, row: list[str]) -> None:
    """Refuse a row of which a cell looks like several rows."""
    for cell in row:
        first, *others = _LINE_END.split(cell)
        if len(others) >= MAX_CELL_LINES or any(_URL_START.search(other) for other in others):
            start = without_credentials(first)[:40]
            raise BadInput(
                f"{path}, line {line}: a cell that begins {start!r} has {len(others) + 1} lines "
                "and seems to hold the rows after it; is a quotation mark never closed? If it is "
                "one text, put it on one line, or save the list as parquet"
            )


def _require_header(
    path: Path, columns: Mapping[str, str], names: Sequence[str], line: int
) -> None:
    if any(_URL_START.match(name) for name in names):
        raise BadInput(
            f"{path}, line {line}: a URL where the names of the columns should be; put a header "
            f"such as '{','.join(columns.values())}' above it, or, if the list has URLs and "
            "nothing else, name it .txt"
        )
    require_columns(path, columns, names)


def _wrong_width(path: Path, line: int, num_cells: int, num_columns: int, delimiter: str) -> str:
    cells = f"{num_cells} cell{'s' if num_cells > 1 else ''}"
    if num_cells < num_columns:
        advice = "add the missing cells, empty ones too, or look for a quotation mark too many"
    else:
        advice = f"put each URL or text that holds a {DELIMITERS[delimiter]} in quotation marks"
        advice += ", or name the list .txt" if num_columns == 1 else ""
    return f"{path}, line {line}: {cells}, but the header has {num_columns}; {advice}"
