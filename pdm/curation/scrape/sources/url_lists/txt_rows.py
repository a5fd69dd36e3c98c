"""Reading URL lists in plain text: one URL a line."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

_DELIMITERS = re.compile("[,;\t|]")


def txt_rows(path: Path, url_column: str) -> Iterator[str]:
    """Lines that are not blank, without the white space around them.

    Args:
        path: The file.
        url_column: What the column of URLs would be called if the file were a table.

    Raises:
        BadInput: The file is a table with a header, or no text.
    """
    with open_text(path) as file:
        lines = ((number, text) for number, line in enumerate(file, 1) if (text := line.strip()))
        for number, text in itertools.islice(lines, 1):
            if _is_header(text, url_column):
                raise BadInput(
                    f"{path}, line {number}: names of columns, but a txt list has one URL a line; "
                    "name a table .csv"
                )
            yield text
        yield from (text for _, text in lines)


def _is_header(line: str, url_column: str) -> bool:
    names = [name.strip().strip('"').lower() for name in _DELIMITERS.split(line)]
    return len(names) > 1 and url_column.lower() in names
