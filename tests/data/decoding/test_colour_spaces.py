"""A colour space counts by its curves and primaries, in whatever way a file states it: profiles and
high dynamic range. `test_colour_numbers.py` is about numbers."""

import struct

import numpy as np
import pytest
from colour_patches import (
    CODES,
    chunk_of_profile,
    colours_of,
    expected,
    hlg,
    patches,
    pq,
    srgb,
    with_nclx,
)
from PIL import Image, ImageCms
from shared.colour_profiles import (
    BT_2020,
    DISPLAY_P3,
    SRGB,
    SRGB_CURVE,
    grey_profile,
    in_srgb,
    rgb_profile,
)
from shared.picture_files import encoded, noise, png, with_chunks

from pdm.data.decoding import colour
from pdm.data.decoding.pixels import Unreadable, decode, decode_view, read_header

NAMES = ("sRGB IEC61966-2.1", "GIMP built-in Linear sRGB", "sRGB Linear", "Rec709", "")

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
