"""Picture files put together byte by byte, where no encoder writes what a test needs."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION = 0x112
TURN_OF_CAMERA = {  # which its orientation takes back
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(image: Image.Image, orientation: int = 6) -> Image.Image:
    """The pixels that a camera held otherwise stores; upright it is the same picture."""
    turn = TURN_OF_CAMERA[orientation]
    return image if turn is None else image.transpose(turn)


def exif(orientation: int = 6) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    rows: list[bytes], width: int, depth: int, colour_type: int, *chunks: tuple[bytes, bytes]
) -> bytes:
    """Of packed rows of samples; the chunks stand before the pixels."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = ((b"IHDR", head), *chunks, (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks behind its header."""
    return content[:33] + b"".join(chunk(*one) for one in chunks) + content[33:]


def with_segments(content: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with more segments, each a marker and its payload, at its beginning."""
    more = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
        for marker, payload in segments
    )
    return content[:2] + more + content[2:]


def with_exif(kind: str, image: Image.Image, tiff: bytes, **options: object) -> bytes:
    """An image file with any bytes for its EXIF."""
    if kind == "jpeg":
        return with_segments(encoded(image, "jpeg", **options), (0xE1, b"Exif\0\0" + tiff))
    if kind == "png":
        return with_chunks(encoded(image, "png", **options), (b"eXIf", tiff))
    if kind == "webp":
        return _webp_with_exif(encoded(image, "webp", **options), image.size, tiff)
    # An encoder refuses what is no EXIF: bytes of the same length hold its place.
    start = b"II*\0\x08\0\0\0" + bytes(6)
    place = start + b"\xab" * max(0, len(tiff) - len(start))
    content = encoded(image, "avif", exif=place, **options)
    assert content.count(place) == 1
    return content.replace(place, tiff.ljust(len(place), b"\0"))


def _webp_with_exif(content: bytes, size: tuple[int, int], tiff: bytes) -> bytes:
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    extended = struct.pack("<4sIB3x", b"VP8X", 10, 8) + width + height
    exif = struct.pack("<4sI", b"EXIF", len(tiff)) + tiff + bytes(len(tiff) % 2)
    body = b"WEBP" + extended + content[12:] + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(*entries: tuple[int, int, int, bytes], order: str = "<", data: bytes = b"") -> bytes:
    """EXIF of some entries (tag, type, count, four bytes of value), with data behind them."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + value[:4].ljust(4, b"\0")
        for tag, kind, count, value in entries
    )
    return head + struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4) + data


def box(kind: bytes, *parts: bytes) -> bytes:
    """Of the ISO base media file format."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body
