"""Damage that a decoder passes over: the image would have a band of grey, stripes or blur."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageFilter
from shared.picture_files import encoded

from pdm.data.decoding import jpeg
from pdm.data.decoding.pixels import Unreadable, decode

END = b"\xff\xd9"


def photograph(width: int = 320, height: int = 200) -> Image.Image:
    """With detail everywhere, as the coded data of a photograph has."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).filter(ImageFilter.GaussianBlur(1))


PHOTOGRAPH = photograph()
JPEG = encoded(PHOTOGRAPH, "jpeg", quality=90)
CMYK = encoded(PHOTOGRAPH.convert("CMYK"), "jpeg", quality=90)
PROGRESSIVE = encoded(PHOTOGRAPH, "jpeg", quality=90, progressive=True)
SCANS = [one.start for one in jpeg.segments(PROGRESSIVE) if one.marker == jpeg.START_OF_SCAN]


def with_hole(content: bytes, start: int, num_bytes: int) -> bytes:
    return content[:start] + bytes(num_bytes) + content[start + num_bytes :]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cmyk_jpeg_that_ends_early_is_unreadable(share):
    decode(CMYK)
    with pytest.raises(Unreadable, match="premature end"):
        decode(CMYK[: int(share * len(CMYK))] + END)


@pytest.mark.parametrize("whole", [JPEG, CMYK], ids=["rgb", "cmyk"])
def test_a_jpeg_whose_decoder_lost_its_place_is_unreadable(whole):
    for start in range(len(whole) // 3, len(whole) - 1000, 3000):
        with pytest.raises(Unreadable, match="Corrupt JPEG data"):
            decode(with_hole(whole, start, 512))


@pytest.mark.parametrize("number", [1, 2, 16])
def test_a_few_bytes_of_padding_are_no_damage(number):
    for whole in (JPEG, CMYK, PROGRESSIVE):
        padded = whole[:-2] + bytes(number) + END
        assert np.array_equal(decode(padded), decode(whole))


@pytest.mark.parametrize("number", range(1, len(SCANS)))
def test_a_progressive_jpeg_without_its_last_scans_is_unreadable(number):
    with pytest.raises(Unreadable, match="scans are missing"):
        decode(PROGRESSIVE[: SCANS[number]] + END)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
def test_a_whole_jpeg_of_any_mode_is_complete(mode, options):
    assert jpeg.is_complete(encoded(PHOTOGRAPH.convert(mode), "jpeg", **options))


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_jpeg_that_ends_in_its_headers_is_unreadable_and_not_complete(whole):
    before_scan = list(
        itertools.takewhile(lambda one: one.marker != jpeg.START_OF_SCAN, jpeg.segments(whole))
    )
    [frame] = [one for one in before_scan if one.marker in (0xC0, 0xC2)]
    end = before_scan[-1].stop
    for stop in range(0, end, 7):
        with pytest.raises(Unreadable):
            decode(whole[:stop] + END)
    for stop in range(frame.stop, end):
        assert not jpeg.is_complete(whole[:stop] + END)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("webp", {"quality": 90}), ("webp", {"lossless": True}), ("avif", {"quality": 90})],
    ids=str,
)
def test_a_copy_that_ends_in_zeros_is_unreadable(kind, options):
    content = encoded(PHOTOGRAPH, kind, **options)
    half = len(content) // 2
    with pytest.raises(Unreadable):
        decode(with_hole(content, half, len(content) - half))


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_plain_images_and_zeros_behind_an_image_are_no_damage(kind):
    plain = Image.new("RGBA", (2048, 1024), (0, 0, 0, 255))
    for options in ({"quality": 90}, {"lossless": True} if kind == "webp" else {"quality": 1}):
        content = encoded(plain, kind, **options)
        assert decode(content + bytes(5000)).max() <= 2
