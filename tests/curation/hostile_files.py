"""Image files as they come from the open web: bombs, animations, screenshots, odd headers."""

import io
import struct
import zlib
from functools import cache

from curation_pictures import scene
from PIL import Image, ImageDraw, ImageFilter
from shared import picture_files

MIB = 2**20
picture = cache(scene)


def encoded(image: Image.Image, kind: str = "jpeg", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks behind its header."""
    more = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return png[:33] + more + png[33:]


def blank_png(width: int, height: int) -> bytes:
    """Of one bit a pixel, all black."""
    deflate, row = zlib.compressobj(9), bytes(1 + -(-width // 8))
    body = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", body),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def turned(orientation: int) -> bytes:
    """The first picture, stored as a camera does that was held otherwise."""
    stored = picture_files.turned(picture(1), orientation)
    return encoded(stored, "png", exif=picture_files.exif(orientation))


def many_scans(number: int) -> bytes:
    whole = encoded(picture(1), progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * number + whole[-2:]


def animation(kind: str) -> bytes:
    return encoded(picture(1), kind, save_all=True, append_images=[picture(2)])


def in_borders(image: Image.Image, beside: int, above: int, colour: str) -> Image.Image:
    framed = Image.new("RGB", (image.width + 2 * beside, image.height + 2 * above), colour)
    framed.paste(image, (beside, above))
    return framed


def screenshot() -> Image.Image:
    """A window with some lines of text."""
    page = Image.new("RGB", (320, 200), (225, 226, 230))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 320, 16), fill=(50, 90, 160))
    for row in range(30, 190, 30):
        pen.text((10, row), f"{row} files, of which {7 * row} are new", "black")
    return page


def chart() -> Image.Image:
    page = Image.new("RGB", (320, 200), (250, 250, 245))
    pen = ImageDraw.Draw(page)
    for place in range(12):
        colour = ((200, 60, 50), (40, 110, 180), (90, 160, 70))[place % 3]
        pen.rectangle(
            (15 + 25 * place, 180 - 12 * (place * 5 % 13), 33 + 25 * place, 180), fill=colour
        )
    return page


def cartoon() -> Image.Image:
    """Flat colours with black outlines."""
    page = Image.new("RGB", (320, 200), (120, 190, 240))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 140, 320, 200), fill=(90, 180, 80), outline="black", width=2)
    pen.ellipse((30, 30, 90, 90), fill=(250, 220, 60), outline="black", width=2)
    pen.polygon([(150, 150), (210, 60), (270, 150)], fill=(190, 80, 60), outline="black", width=2)
    return page


def nearest(image: Image.Image, times: int) -> Image.Image:
    small = image.resize((image.width // times, image.height // times), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def resized(image: Image.Image, times: float, how: Image.Resampling) -> Image.Image:
    small = image.resize((round(image.width / times), round(image.height / times)))
    return small.resize(image.size, how)


def gradient() -> Image.Image:
    """Blue at the top, paler below, as much in 200 rows as a sky changes in 1,000."""
    ramp = Image.linear_gradient("L").resize((320, 200))
    return Image.merge(
        "RGB", [ramp.point(lambda v, low=low: low + v // 4) for low in (90, 130, 170)]
    )


def soft_behind(image: Image.Image) -> Image.Image:
    """A sharp subject before a soft background, on a fifth of the picture."""
    soft = image.filter(ImageFilter.GaussianBlur(6))
    soft.paste(picture(33).crop((0, 0, 120, 100)), (100, 60))
    return soft


def sunset(image: Image.Image) -> Image.Image:
    """A burnt-out sun in an evening sky: bright and dark parts, both allowed."""
    evening = image.point(lambda value: value // 2)
    ImageDraw.Draw(evening).ellipse((140, 20, 180, 60), fill="white")
    return evening


PNG = encoded(picture(1), "png")
JPEG = encoded(picture(1), quality=92)
BOMB = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 * MIB), 9))
