"""What stands beside a picture, damaged or merely odd, never loses the picture."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from shared.picture_files import encoded, noise, tiff, with_exif, with_segments

from pdm.data.decoding import jpeg
from pdm.data.decoding.pixels import Unreadable, decode, read_header

PICTURE = noise(24, 16)
ORIENTATION, X_RESOLUTION, RESOLUTION_UNIT = 0x112, 0x11A, 0x128
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, FLOAT, DOUBLE = 1, 2, 3, 4, 5, 7, 11, 12
FORMATS = ("jpeg", "png", "webp", "avif")
BEHIND = 26  # where data behind one entry begin


def number(kind, value):
    return (ORIENTATION, kind, 1, struct.pack("<f" if kind == FLOAT else "<I", value))


NONSENSE = {
    "infinity": tiff(number(FLOAT, float("inf"))),
    "minus infinity": tiff(number(FLOAT, float("-inf"))),
    "no number": tiff(number(FLOAT, float("nan"))),
    "double infinity": tiff(
        (ORIENTATION, DOUBLE, 1, struct.pack("<I", BEHIND)), data=struct.pack("<d", float("inf"))
    ),
    "a rational over zero": tiff(
        (ORIENTATION, RATIONAL, 1, struct.pack("<I", BEHIND)), data=struct.pack("<II", 6, 0)
    ),
    "a text": tiff((ORIENTATION, ASCII, 4, b"six\0")),
    "raw bytes": tiff((ORIENTATION, UNDEFINED, 4, b"\xff\xfe\xfd\xfc")),
    "nine": tiff(number(SHORT, 9)),
    "zero": tiff(number(SHORT, 0)),
    "four billion": tiff(number(LONG, 2**32 - 1)),
    "four billion of them": tiff((ORIENTATION, SHORT, 2**32 - 1, b"\6\0\0\0")),
    "none at all": tiff((ORIENTATION, SHORT, 0, b"")),
    "an unknown type": tiff((ORIENTATION, 99, 1, b"\6\0\0\0")),
    "no TIFF": b"hello, camera",
    "nothing": b"",
    "a header twice": b"Exif\0\0" + tiff(number(SHORT, 9)),
    # Pillow looks for the second number of a rational while it opens the file.
    "a resolution of one byte": tiff(
        (X_RESOLUTION, BYTE, 1, b"\x48"), (RESOLUTION_UNIT, SHORT, 1, b"\2\0")
    ),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", NONSENSE)
def test_exif_that_makes_no_sense_leaves_the_picture_upright(name, kind):
    content = with_exif(kind, PICTURE, NONSENSE[name])
    assert (read_header(content).width_px, read_header(content).height_px) == PICTURE.size
    assert np.array_equal(decode(content), decode(encoded(PICTURE, kind)))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    "stated", [number(SHORT, 6), number(LONG, 6), number(FLOAT, 6.0), (ORIENTATION, ASCII, 2, b"6")]
)
def test_an_orientation_counts_in_any_exif_type(stated, kind):
    found = decode(with_exif(kind, PICTURE, tiff(stated)))
    assert np.array_equal(found, np.rot90(decode(encoded(PICTURE, kind)), -1))


entries = st.tuples(
    st.sampled_from((ORIENTATION, X_RESOLUTION, RESOLUTION_UNIT, 0x8769, 0x8825, 0x927C, 0x201))
    | st.integers(0, 65535),
    st.integers(0, 18) | st.integers(0, 65535),
    st.sampled_from((0, 1, 2, 3, 8, 65535, 2**31, 2**32 - 1)),
    st.binary(min_size=4, max_size=4)
    | st.floats(width=32).map(lambda value: struct.pack("<f", value))
    | st.sampled_from((0, 6, 8, 26, 38, 2**32 - 1)).map(lambda value: struct.pack("<I", value)),
)
blocks = st.binary(max_size=60) | st.builds(
    lambda listed, order, data: tiff(*listed, order=order, data=data),
    st.lists(entries, max_size=4),
    st.sampled_from("<>"),
    st.floats().map(lambda value: struct.pack("<d", value)) | st.binary(max_size=40),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(block=blocks, kind=st.sampled_from(FORMATS))
def test_no_exif_whatsoever_loses_a_picture(block, kind):
    plain = decode(encoded(PICTURE, kind))
    content = with_exif(kind, PICTURE, block)
    found = decode(content)
    header = read_header(content)
    assert found.shape == (header.height_px, header.width_px, 3)
    turned = [np.rot90(side, times) for side in (plain, plain[:, ::-1]) for times in range(4)]
    assert any(np.array_equal(found, one) for one in turned)


def test_an_avif_is_turned_by_its_boxes_and_by_nothing_else():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    plain = encoded(PICTURE, "avif")
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # which Pillow writes as the box irot
    turned = encoded(PICTURE, "avif", exif=exif)
    assert b"irot" in turned
    assert np.array_equal(decode(turned), np.rot90(decode(plain), -1))
    assert np.array_equal(decode(encoded(PICTURE, "avif", xmp=xmp)), decode(plain))
    assert np.array_equal(decode(with_exif("avif", PICTURE, tiff(number(SHORT, 6)))), decode(plain))


# segments of a JPEG


BROKEN = {
    "Photoshop's": (0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
    "JFIF": (0xE0, b"JFIF\0"),
    "Adobe": (0xEE, b"Adobe"),
    "an ICC profile": (0xE2, b"ICC_PROFILE\0"),
    "several pictures": (0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "a comment": (0xFE, b""),
}
PLAIN = encoded(PICTURE, "jpeg", quality=95)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_segment_beside_the_picture_does_not_lose_it(name):
    assert np.array_equal(decode(with_segments(PLAIN, BROKEN[name])), decode(PLAIN))


def test_a_broken_segment_hides_neither_the_orientation_nor_the_profile():
    exif = (0xE1, b"Exif\0\0" + tiff(number(SHORT, 6)))
    found = decode(with_segments(PLAIN, exif, BROKEN["Photoshop's"]))
    assert np.array_equal(found, np.rot90(decode(PLAIN), -1))
    icc = (0xE2, b"ICC_PROFILE\0\1\1" + bytes(100))
    broken = with_segments(PLAIN, BROKEN["Photoshop's"], icc, BROKEN["Adobe"], BROKEN["a comment"])
    assert jpeg.without_metadata(broken) == with_segments(
        PLAIN, icc
    )  # and JFIF, which the encoder wrote


def test_a_cmyk_jpeg_with_a_broken_segment_is_not_inverted():
    content = encoded(Image.new("CMYK", (16, 16), (255, 0, 255, 0)), "jpeg")
    broken = with_segments(content, BROKEN["Photoshop's"])
    assert np.array_equal(decode(broken), decode(content))
    assert decode(content)[4, 4].argmax() == 1


# scans


def many_scans(number):
    """As a progressive picture, with its last scan repeated."""
    whole = encoded(PICTURE, "jpeg", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * number + whole[-2:]


SCANS = b"\xff\xda" * 300
BESIDE = {
    "behind it": lambda content: content + SCANS,
    "in a video behind it": lambda content: content + b"\0\0\0\x18ftypmp42" + SCANS,
    "in another picture behind it": lambda content: content + many_scans(300),
    "in a thumbnail": lambda content: with_segments(
        content, (0xE1, b"Exif\0\0" + tiff() + many_scans(300))
    ),
    "in a maker's note": lambda content: with_segments(
        content, (0xE1, b"Exif\0\0" + tiff((0x927C, UNDEFINED, 600, b"\x1a\0\0\0"), data=SCANS))
    ),
    "in a segment of an application": lambda content: with_segments(content, (0xEB, SCANS)),
    "in a comment": lambda content: with_segments(content, (0xFE, SCANS)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_looks_like_scans_beside_the_picture_is_no_fault(name):
    for whole in (PLAIN, encoded(PICTURE, "jpeg", progressive=True)):
        content = BESIDE[name](whole)
        assert jpeg.num_scans(content) == jpeg.num_scans(whole)
        assert np.array_equal(decode(content), decode(whole))


def test_the_second_picture_of_several_may_have_any_number_of_scans():
    both = encoded(PICTURE, "mpo", save_all=True, append_images=[PICTURE])
    second = both.index(b"\xff\xd8\xff", 2)
    last = both.rindex(b"\xff\xda")
    scans = both[:-2] + both[last:-2] * 300 + both[-2:]
    assert second < last
    assert np.array_equal(decode(scans), decode(both))


TAILS = (bytes(5000), b"PK\3\4 a zip", SCANS, PLAIN, b"\0\0\0\x18ftypmp42")


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_hangs_on_behind_a_picture_is_no_part_of_it(kind, tail):
    content = encoded(PICTURE, kind)
    assert np.array_equal(decode(content + tail), decode(content))


def test_every_scan_of_the_picture_itself_is_counted():
    progressive = jpeg.num_scans(many_scans(0))
    assert jpeg.num_scans(PLAIN) == 1
    assert 2 <= progressive <= 12
    assert jpeg.num_scans(many_scans(300)) == progressive + 300
    with pytest.raises(Unreadable, match="scans"):
        decode(many_scans(300))


def test_scans_cannot_hide_behind_fill_bytes_restarts_or_other_segments():
    whole = many_scans(300)
    comment = b"\xff\xfe\0\4\xff\xd9"  # which holds what would end a picture elsewhere
    for before in (b"\xff\xff\xff", b"\xff\xd3", b"\xff\xd7\xff\x01", b"odd bytes", comment):
        hidden = whole.replace(b"\xff\xda", before + b"\xff\xda")
        assert jpeg.num_scans(hidden) == jpeg.num_scans(whole)
