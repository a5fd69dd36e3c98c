"""Recognises formats that are not read, by their first bytes and without any decoder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A file format that is not read."""

    name: str  # with its article, for a sentence
    reason: str  # one word, for counting


def _picture(article: str, name: str) -> Kind:
    return Kind(f"{article} {name}", f"unreadable_{name.lower().replace(' ', '')}")


_STARTS = (
    (b"GIF8", _picture("a", "GIF")),
    (b"II*\0", _picture("a", "TIFF")),
    (b"MM\0*", _picture("a", "TIFF")),
    (b"BM", _picture("a", "BMP")),
    (b"8BPS", _picture("a", "PSD")),
    (b"%!PS", _picture("an", "EPS")),
    (b"%PDF", _picture("a", "PDF")),
    (b"SIMPLE  =", _picture("a", "FITS")),
    (b"\xff\x0a", _picture("a", "JPEG XL")),
    (b"\0\0\0\x0cJXL ", _picture("a", "JPEG XL")),
    (b"\0\0\0\x0cjP  ", _picture("a", "JPEG 2000")),
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_WEB_PAGE = Kind("a web page or other text", "unreadable")

REASONS = frozenset(kind.reason for _, kind in _STARTS) | {"unreadable_heic", "unreadable_svg"}


def kind_of(content: bytes) -> Kind | None:
    """The kind of a file, or None if its first bytes are not known."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return _picture("a", "HEIC")
    for start, kind in _STARTS:
        if content.startswith(start):
            return kind
    text = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in text:
        return _picture("an", "SVG")
    return _WEB_PAGE if text[:1] in (b"<", b"{", b"[") else None
