"""File formats of images, told by their first bytes. Nothing is decoded."""

NUM_BYTES = 16  # enough to tell every format here
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
    """Extension for a file that starts with `head`; "bin" if it is no known image."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "bin")
    return next((extension for start, extension in _STARTS if head.startswith(start)), "bin")
