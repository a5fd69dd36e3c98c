"""Recognises image formats by their first bytes. Nothing is decoded."""

from pathlib import Path

NUM_BYTES = 16  # enough for every format here
_NAMES = "jpg jpeg jpe jfif png webp gif tif tiff bmp avif heic heif jxl jp2"
EXTENSIONS = frozenset(_NAMES.split())

_STARTS = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"BM", "bmp"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)
_ENDS = {"jpg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "gif": b"\0;"}
_BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"hevc": "heic",
    b"mif1": "heic",
    b"msf1": "heic",
}


def extension_of(head: bytes) -> str:
    """Extension for a file that starts with `head`; "bin" if it is not a known image."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "bin")
    return next((extension for start, extension in _STARTS if head.startswith(start)), "bin")


def is_whole(path: Path) -> bool:
    """Whether a file ends as its format requires.

    False for formats without a recognisable end, such as TIFF and AVIF. The middle is not checked.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(NUM_BYTES)
        file.seek(max(0, size - NUM_BYTES))
        tail = file.read()
    extension = extension_of(head)
    if extension in _ENDS:
        return tail.endswith(_ENDS[extension])
    if extension == "webp":
        return size >= int.from_bytes(head[4:8], "little") + 8
    return extension == "bmp" and size >= int.from_bytes(head[2:6], "little") > 0
