"""A colour space counts by its curves and primaries, in whatever way a file states it."""

import io
import struct
import zlib

import numpy as np
import pytest
from colour_profiles import (
    BT_2020,
    DISPLAY_P3,
    SRGB,
    SRGB_CURVE,
    grey_profile,
    in_srgb,
    light_in_srgb,
    rgb_profile,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import box, encoded, noise, png, with_chunks
from PIL import Image, ImageCms

from pdm.data.decoding import cicp, colour, isobmff
from pdm.data.decoding.pixels import Unreadable, decode, decode_view, read_header
from pdm.data.decoding.png import PngFacts, read_facts

COLOURS = [(128, 128, 128), (200, 100, 50), (30, 160, 90), (90, 60, 220), (250, 250, 250)]
CODES = np.linspace(0, 1, 1024)
NAMES = ("sRGB IEC61966-2.1", "GIMP built-in Linear sRGB", "sRGB Linear", "Rec709", "")

# The inverse of what the standards say a camera does, written out: V -> L
KNEE = 0.018053968510807


def bt_709(code):
    power = ((code + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45)
    return np.where(code < 4.5 * KNEE, code / 4.5, power)


def srgb(code):
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def pq(code):  # ST 2084, of 10,000 cd/m2
    root = code ** (4096 / 2523 / 128)
    return (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)


def hlg(code):
    power = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(code <= 0.5, code**2 / 3, power)


def patches(kind="png", **options):
    row = np.array(COLOURS, np.uint8).repeat(8, axis=0)
    return encoded(Image.fromarray(np.stack([row] * 8)), kind, **options)


def colours_of(content):
    return decode(content)[4, 4::8].astype(float)


def light(curve):
    return [curve(np.array(one) / 255) for one in COLOURS]


def expected(primaries, curve):
    return np.array([light_in_srgb(one, primaries) for one in light(curve)])


# ICC profiles


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_profile_is_applied_under_any_name(name):
    profile = rgb_profile(SRGB, CODES, name)
    found = colours_of(patches(icc_profile=profile))
    assert found == pytest.approx(expected(SRGB, lambda code: code), abs=2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "curve",
    [SRGB_CURVE, srgb(CODES), srgb(np.linspace(0, 1, 4096)), srgb(np.linspace(0, 1, 256))],
    ids=["formula", "1024 entries", "4096 entries", "256 entries"],
)
def test_true_srgb_changes_no_bit_under_any_name(curve, name):
    profile = rgb_profile(SRGB, curve, name)
    for kind, options in (("png", {}), ("jpeg", {}), ("webp", {"lossless": True})):
        content = encoded(noise(64, 48), kind, icc_profile=profile, **options)
        assert np.array_equal(decode(content), decode(encoded(noise(64, 48), kind, **options)))


@pytest.mark.parametrize("gamma", [1.8, 2.2, 2.4])
def test_a_power_that_is_nearly_srgb_is_not_taken_for_it(gamma):
    curve = (gamma, 1.0, 0.0, 1.0, 0.0)
    profile = rgb_profile(SRGB, curve, "sRGB")
    found = decode(encoded(Image.new("RGB", (8, 8), (20, 20, 20)), "png", icc_profile=profile))
    assert found[0, 0] == pytest.approx(in_srgb((20, 20, 20), SRGB, curve), abs=1)
    assert abs(int(found[0, 0, 0]) - 20) >= 2


def test_wider_primaries_with_the_curve_of_srgb_are_not_taken_for_it():
    profile = rgb_profile(DISPLAY_P3, SRGB_CURVE, "sRGB")
    found = colours_of(patches(icc_profile=profile))
    assert found == pytest.approx(expected(DISPLAY_P3, srgb), abs=2)


def test_the_transform_of_a_profile_that_changes_nothing_is_never_applied():
    made_by_pillow = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (made_by_pillow, rgb_profile(SRGB, srgb(CODES), "c2"), None, b"broken"):
        assert not colour.changes_pixels(profile, "RGB")
        assert not colour.changes_pixels(profile, "L")
    assert colour.changes_pixels(rgb_profile(SRGB, CODES, "sRGB"), "RGB")


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_profile_for_rgb_counts_for_grey_as_for_three_equal_channels(kind):
    profile = rgb_profile(SRGB, CODES)
    grey, colours = (
        decode(encoded(Image.new(mode, (16, 16), level), kind, icc_profile=profile))
        for mode, level in (("L", 100), ("RGB", (100, 100, 100)))
    )
    assert np.array_equal(grey, colours)
    assert grey[8, 8] == pytest.approx([169] * 3, abs=1)


def test_grey_with_alpha_of_any_depth_keeps_its_profile():
    profile = ("iCCP", grey_profile(1.0))
    eight = encoded(Image.new("LA", (4, 4), (100, 255)), "png", icc_profile=profile[1])
    sixteen = png([struct.pack(">2H", 100 * 257, 65535) * 4] * 4, 4, 16, 4)
    sixteen = with_chunks(sixteen, chunk_of_profile(profile[1]))
    assert decode(eight)[0, 0] == pytest.approx([169] * 3, abs=1)
    assert np.array_equal(decode(sixteen), decode(eight))


def chunk_of_profile(profile, name=b"icc"):
    return (b"iCCP", name + b"\0\0" + zlib.compress(profile))


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


def with_nclx(content, primaries, transfer):
    """An AVIF with other numbers in its box."""
    place = content.index(b"colrnclx") + 8
    return content[:place] + struct.pack(">HH", primaries, transfer) + content[place + 4 :]


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


# high dynamic range


def icc_cicp(transfer):
    return {"cicp": b"cicp" + bytes(4) + bytes([9, transfer, 0, 1])}


def gain_map_jpeg():
    """A JPEG with a second, grey picture that tells an HDR display what to brighten."""
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    content = encoded(noise(24, 16), "mpo", save_all=True, append_images=[Image.new("L", (12, 8))])
    return content[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(xmp) + 2) + xmp + content[2:]


P3_SRGB = rgb_profile(DISPLAY_P3, SRGB_CURVE)
HDR = {
    "cICP, PQ": (with_chunks(patches(), (b"cICP", bytes([9, 16, 0, 1]))), "PQ"),
    "cICP, HLG": (with_chunks(patches(), (b"cICP", bytes([9, 18, 0, 1]))), "HLG"),
    "cICP, PQ, narrow": (with_chunks(patches(), (b"cICP", bytes([1, 16, 0, 0]))), "PQ"),
    "nclx, PQ": (with_nclx(patches("avif"), 9, 16), "PQ"),
    "nclx, HLG": (with_nclx(patches("avif"), 9, 18), "HLG"),
    "nclx, PQ, beside a profile": (with_nclx(patches("avif", icc_profile=P3_SRGB), 9, 16), "PQ"),
    "the name of an old note": (
        with_chunks(patches(), chunk_of_profile(P3_SRGB, b"ITUR_2100_PQ_FULL")),
        "PQ",
    ),
} | {
    f"{kind} with a profile, {name}, by {how}": (
        patches(kind, icc_profile=rgb_profile(BT_2020, curve, "any", tags)),
        name,
    )
    for kind in ("png", "jpeg", "webp", "avif")
    for name, how, curve, tags in (
        ("PQ", "tag", SRGB_CURVE, icc_cicp(16)),
        ("HLG", "tag", SRGB_CURVE, icc_cicp(18)),
        ("PQ", "curve", pq(CODES), {}),
        ("HLG", "curve", hlg(CODES), {}),
    )
}


@pytest.mark.parametrize("name", HDR)
def test_high_dynamic_range_is_refused_by_name(name):
    content, curve = HDR[name]
    assert read_header(content).width_px == 40  # its header is read all the same
    for reduction in (1, 2):
        with pytest.raises(Unreadable, match=f"HDR .*{curve}") as caught:
            decode_view(content, reduction)
        assert caught.value.kind == "hdr"


def test_what_is_no_hdr_is_not_refused():
    for profile in (rgb_profile(BT_2020, SRGB_CURVE, "HDR PQ", icc_cicp(13)), P3_SRGB):
        assert decode(patches(icc_profile=profile)).shape == (8, 40, 3)


def test_a_jpeg_with_a_gain_map_is_its_picture_of_standard_range():
    content = gain_map_jpeg()
    assert np.array_equal(decode(content), decode(encoded(noise(24, 16), "jpeg")))


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
