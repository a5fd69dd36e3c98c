"""Colour spaces that a file states by numbers: cICP and nclx, gAMA and cHRM."""

import io
import struct

import numpy as np
import pytest
from colour_patches import (
    CODES,
    bt_709,
    chunk_of_profile,
    colours_of,
    expected,
    patches,
    srgb,
    with_nclx,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shared.colour_profiles import (
    BT_2020,
    DISPLAY_P3,
    SRGB,
    rgb_profile,
)
from shared.picture_files import box, encoded, noise, png, with_chunks

from pdm.data.decoding import cicp, isobmff
from pdm.data.decoding.pixels import decode
from pdm.data.decoding.png import PngFacts, read_facts

# numbers: cICP, nclx


SDR = {
    "Display P3": (12, 13, DISPLAY_P3, srgb),
    "BT.2020": (9, 14, BT_2020, bt_709),
    "BT.2020 of 12 bits": (9, 15, BT_2020, bt_709),
    "BT.2020 with the curve of sRGB": (9, 13, BT_2020, srgb),
    "BT.709": (1, 1, SRGB, bt_709),
    "BT.709, curve of BT.601": (1, 6, SRGB, bt_709),
    "linear": (1, 8, SRGB, lambda code: code),
    "gamma 2.2": (1, 4, SRGB, lambda code: code**2.2),
    "gamma 2.8": (1, 5, SRGB, lambda code: code**2.8),
    "primaries not said": (2, 8, SRGB, lambda code: code),
    "curve not said": (12, 2, DISPLAY_P3, srgb),
    "nothing said": (2, 2, SRGB, srgb),
    "numbers of nobody": (200, 100, SRGB, srgb),
}


@pytest.mark.parametrize("space", SDR)
def test_colours_by_numbers_are_right_in_srgb(space):
    primaries, transfer, matrix, curve = SDR[space]
    right = expected(matrix, curve)
    as_png = with_chunks(patches(), (b"cICP", bytes([primaries, transfer, 0, 1])))
    assert colours_of(as_png) == pytest.approx(right, abs=2)
    as_avif = with_nclx(patches("avif", quality=100, subsampling="4:4:4"), primaries, transfer)
    assert colours_of(as_avif) == pytest.approx(right, abs=6)  # the coding of light is not exact


def test_numbers_count_for_grey_and_palettes_and_sixteen_bits():
    cicp_chunk = (b"cICP", bytes([1, 8, 0, 1]))
    grey, palette = Image.new("L", (4, 4), 100), Image.new("RGB", (4, 4), (100,) * 3).quantize(2)
    for image in (grey, palette):
        found = decode(with_chunks(encoded(image, "png"), cicp_chunk))
        assert found[0, 0] == pytest.approx([169] * 3, abs=1)
    rows = [struct.pack(">3H", 25700, 25700, 25700) * 4] * 4
    assert decode(png(rows, 4, 16, 2, cicp_chunk))[0, 0] == pytest.approx([169] * 3, abs=1)


def test_the_numbers_of_srgb_change_no_bit():
    content = encoded(noise(64, 48), "png")
    stated = with_chunks(content, (b"cICP", bytes([1, 13, 0, 1])))
    assert np.array_equal(decode(stated), decode(content))
    avif = encoded(noise(64, 48), "avif")
    assert isobmff.read_code_points(avif) == cicp.CodePoints(1, 13)
    assert np.array_equal(decode(avif), np.asarray(Image.open(io.BytesIO(avif)).convert("RGB")))


def test_a_narrow_range_is_widened():
    levels = Image.fromarray(np.array([[0, 16, 126, 235, 255]], np.uint8))
    content = with_chunks(encoded(levels, "png"), (b"cICP", bytes([1, 13, 0, 0])))
    assert decode(content)[0, :, 0] == pytest.approx([0, 0, 128, 255, 255], abs=1)


def test_every_curve_rises_from_black_to_white():
    codes = np.linspace(0, 1, 256)
    for code, curve in cicp.CURVES.items():
        found = curve(codes)
        assert found[0] == 0, code
        assert found.clip(0, 1)[-1] == pytest.approx(1, abs=1e-9), code
        assert (np.diff(found) >= 0).all(), code


@pytest.mark.parametrize("primaries", cicp.PRIMARIES)
def test_equal_channels_are_grey_under_all_primaries(primaries):
    content = with_chunks(patches(), (b"cICP", bytes([primaries, 13, 0, 1])))
    assert colours_of(content)[0] == pytest.approx([128] * 3, abs=2)


# gAMA and cHRM


def gamma(value):
    return (b"gAMA", struct.pack(">I", round(100_000 * value)))


def chromaticities(*values):
    return (b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


P3_XY = chromaticities(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_XY = chromaticities(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def test_a_png_is_read_by_its_gamma_and_its_primaries():
    linear = with_chunks(patches(), gamma(1.0))
    assert colours_of(linear) == pytest.approx(expected(SRGB, lambda code: code), abs=2)
    wide = with_chunks(patches(), P3_XY)
    assert colours_of(wide) == pytest.approx(expected(DISPLAY_P3, srgb), abs=2)
    both = with_chunks(patches(), gamma(1 / 1.8), P3_XY)
    assert colours_of(both) == pytest.approx(expected(DISPLAY_P3, lambda c: c**1.8), abs=2)


@pytest.mark.parametrize("chunks", [[gamma(0.45455)], [gamma(0.45455), SRGB_XY], [SRGB_XY]])
def test_the_gamma_that_everybody_writes_for_srgb_changes_no_bit(chunks):
    content = encoded(noise(64, 48), "png")
    assert np.array_equal(decode(with_chunks(content, *chunks)), decode(content))


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(0)],
        [chromaticities(0, 0, 0, 0, 0, 0, 0, 0)],
        [chromaticities(*[0.3] * 8)],
        [chromaticities(0.3, 0, *[0.3, 0.6] * 3)],
        [(b"cICP", b"\1\10\0")],
        [(b"cICP", b"")],
        [(b"cICP", bytes([9, 8, 9, 1]))],  # a matrix, of which RGB has none
    ],
)
def test_numbers_that_make_no_sense_are_ignored(chunks):
    content = encoded(noise(64, 48), "png")
    assert np.array_equal(decode(with_chunks(content, *chunks)), decode(content))


def test_the_most_exact_statement_of_a_png_counts():
    linear = chunk_of_profile(rgb_profile(SRGB, CODES))
    steps = [
        (b"cICP", bytes([12, 13, 0, 1])),
        linear,
        (b"sRGB", b"\0"),
        gamma(1 / 3),
    ]
    right = [
        expected(DISPLAY_P3, srgb),
        expected(SRGB, lambda code: code),
        expected(SRGB, srgb),
        expected(SRGB, lambda code: code**3),
    ]
    for first in range(4):
        for chunks in (steps[first:], steps[first:][::-1]):
            found = colours_of(with_chunks(patches(), *chunks))
            assert found == pytest.approx(right[first], abs=2)


# boxes


def avif_of_two_items(version):
    """The boxes alone: item 1 is shown and linear, item 2 is not, and says PQ."""
    number = struct.pack(">H" if version == 0 else ">I", 1)
    other = struct.pack(">H" if version == 0 else ">I", 2)
    colr = [box(b"colr", b"nclx", struct.pack(">HHHB", 1, code, 6, 128)) for code in (16, 8)]
    ipco = box(b"ipco", box(b"free"), *colr)
    for flags, indices in ((0, (b"\x02", b"\x01\x83")), (1, (b"\0\2", b"\0\1\x80\3"))):
        counted = [bytes([len(one) // (1 + flags)]) + one for one in indices]
        entries = struct.pack(">I", 2) + other + counted[0] + number + counted[1]
        ipma = box(b"ipma", bytes([version, 0, 0, flags]), entries)
        pitm = box(b"pitm", bytes([version, 0, 0, 0]), number)
        yield box(b"ftyp", b"avif") + box(b"meta", bytes(4), pitm, box(b"iprp", ipco, ipma))


@pytest.mark.parametrize("version", [0, 1])
def test_the_colours_of_the_item_that_is_shown_count(version):
    for content in avif_of_two_items(version):
        assert isobmff.read_code_points(content) == cicp.CodePoints(1, 8)


AVIF = patches("avif", exif=b"II*\0\x08\0\0\0" + bytes(6))


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(st.integers(0, 400), max_size=6),
    values=st.binary(min_size=6, max_size=6),
    length=st.integers(0, len(AVIF)),
)
def test_damaged_boxes_and_chunks_are_read_without_an_error(places, values, length):
    for content, read, kinds in (
        (AVIF, isobmff.read_code_points, cicp.CodePoints | None),
        (AVIF, isobmff.without_exif, bytes),
        (with_chunks(patches(), (b"cICP", b"\1\1\0\1")), read_facts, PngFacts),
    ):
        damaged = bytearray(content)
        for place, value in zip(places, values, strict=False):
            if place < len(damaged):
                damaged[place] = value
        assert isinstance(read(bytes(damaged[: max(length, 33)])), kinds)
