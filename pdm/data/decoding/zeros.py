"""Finds files that a copy or download left unfinished: of full length, with zeros for the rest.

Many programs reserve the whole file first. Coded data without a checksum (WebP, AVIF) is then
decoded to a band of one colour; decoders of PNG and JPEG notice.
"""

from collections.abc import Iterator

from PIL import Image

from pdm.data.decoding import isobmff

# Coded data looks random: so many zeros in a row do not occur, however plain the image is.
ZEROS = bytes(1024)


def refuse_unfinished(image: Image.Image, content: bytes) -> None:
    """Raise an error if the coded data of a WebP has a long run of zeros, or an AVIF's ends in one.

    Raises:
        ValueError: It does.
    """
    if image.format == "WEBP":
        unfinished = any(ZEROS in payload for payload in _webp_frames(content))
    elif image.format == "AVIF":
        unfinished = any(
            content[: data.stop].endswith(ZEROS) for data in isobmff.media_data(content)
        )
    else:
        return
    if unfinished:
        raise ValueError("part of its data is zeros, as in an unfinished copy")


def _webp_frames(content: bytes) -> Iterator[bytes]:
    """The lossy and lossless frames. An alpha channel may be stored plainly, with many zeros."""
    position, stop = 12, 8 + int.from_bytes(content[4:8], "little")
    while position + 8 <= min(stop, len(content)):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] in (b"VP8 ", b"VP8L"):
            yield content[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
