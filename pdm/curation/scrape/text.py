"""Reads text files and cleans text from outside."""

import codecs
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pdm.errors import BadInput

MAX_TEXT_BYTES = 8192  # of a caption, a licence, an author or a class
MAX_CAPTIONS = 64  # of a picture
_HEAD_BYTES = 64
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_KINDS = (
    (b"PAR1", "is a parquet file; name it .parquet"),
    (b"\x1f\x8b", "is compressed by gzip; unpack it"),
    (b"PK\x03\x04", "is a zip file or a spreadsheet; export the list as CSV in UTF-8"),
)


def open_text(path: Path) -> TextIO:
    """Open a text file in UTF-8, or in the encoding of its byte order mark.

    Line ends are not translated. Bytes that cannot be decoded become U+FFFD.

    Raises:
        BadInput: It is another kind of file, or UTF-16 without a byte order mark.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for start, kind in _OTHER_KINDS:
        if head.startswith(start):
            raise BadInput(f"{path} {kind}")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in head[:2]:
        raise BadInput(f"{path}, line 1: NUL bytes, as in UTF-16; save the list as UTF-8")
    return path.open(encoding=encoding, errors="replace", newline="")


def clean(text: str | None) -> str | None:
    """Text without NULs and lone surrogates, cut at `MAX_TEXT_BYTES`; None if nothing is left."""
    if text is None:
        return None
    encoded = text.replace("\0", "").encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    return encoded.decode("utf-8", "ignore").strip() or None


def clean_captions(texts: Iterable[str]) -> tuple[str, ...]:
    """The first `MAX_CAPTIONS` captions, each cleaned, without empty and repeated ones."""
    cleaned = (clean(text) for text in texts)
    different = dict.fromkeys(text for text in cleaned if text is not None)
    return tuple(different)[:MAX_CAPTIONS]


def one_line(text: str | None) -> str | None:
    """The same with white space reduced to single spaces, for names.

    Letters are composed (Unicode's form NFC). Macs decompose those of folders: `é` would be two
    names, and two classes.
    """
    return " ".join((clean(unicodedata.normalize("NFC", text or "")) or "").split()) or None
