"""Reads URL lists in plain text: one URL per line."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

_DELIMITERS = re.compile("[,;\t|]")


def read_txt(path: Path, url_column: str) -> Iterator[str]:
    """The lines that are not blank, stripped.

    Args:
        path: The file.
        url_column: Name of the URL column in tables, to recognise a header.

    Raises:
        BadInput: The file is a table with a header, or not text.
    """
    with open_text(path) as file:
        lines = ((number, text) for number, line in enumerate(file, 1) if (text := line.strip()))
        for number, text in itertools.islice(lines, 1):
            if _is_header(text, url_column):
                raise BadInput(
                    f"{path}, line {number}: a header, but a txt list has one URL per line; rename "
                    "the table to .csv"
                )
            yield text
        yield from (text for _, text in lines)


def _is_header(line: str, url_column: str) -> bool:
    names = [name.strip().strip('"').lower() for name in _DELIMITERS.split(line)]
    return len(names) > 1 and url_column.lower() in names
