"""Colour spaces and modes, through to the right colour in sRGB and to the right decision."""

import io
import struct
import zlib
from functools import cache

import numpy as np
import pytest
from curation_pictures import CURATE, but, scene
from PIL import Image
from shared.colour_profiles import (
    ADOBE_CURVE,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    SRGB_CURVE,
    cmyk_profile,
    grey_profile,
    in_srgb,
    rgb_profile,
)
from shared.picture_files import with_chunks

from pdm.curation.curate.judge import judge
from pdm.curation.shard.report.funnel import STEPS
from pdm.curation.shard.report.reasons import NOT_KEPT
from pdm.data.decoding.kinds import REASONS as FOREIGN
from pdm.data.decoding.pixels import decode

SPACES = {
    "Display P3": (DISPLAY_P3, SRGB_CURVE),
    "Adobe RGB": (ADOBE_RGB, ADOBE_CURVE),
    "sRGB under another name": (SRGB, SRGB_CURVE),
}
COLOURS = [(128, 128, 128), (200, 100, 50), (30, 160, 90), (90, 60, 220), (250, 250, 250)]


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("space", SPACES)
def test_colours_of_a_profile_are_right_in_srgb(space, kind):
    options = {"png": {}, "jpeg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}
    profile = rgb_profile(*SPACES[space])
    for colour in COLOURS:
        content = encoded(
            Image.new("RGB", (16, 16), colour), kind, icc_profile=profile, **options[kind]
        )
        assert decode(content)[8, 8] == pytest.approx(in_srgb(colour, *SPACES[space]), abs=2)


def test_the_strongest_red_of_display_p3_is_the_strongest_of_srgb():
    content = encoded(
        Image.new("RGB", (8, 8), (255, 0, 0)), icc_profile=rgb_profile(*SPACES["Display P3"])
    )
    assert tuple(decode(content)[0, 0]) == (255, 0, 0)


def test_a_cmyk_profile_is_applied():
    image = Image.new("CMYK", (16, 16), (255, 0, 255, 0))
    content = encoded(image, "jpeg", quality=95, icc_profile=cmyk_profile(50))
    assert decode(content)[8, 8] == pytest.approx((119, 119, 119), abs=2)  # L* = 50


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_profile_of_a_grey_picture_is_applied(kind):
    content = encoded(Image.new("L", (16, 16), 100), kind, icc_profile=grey_profile(1.0))
    assert decode(content)[8, 8] == pytest.approx([169] * 3, abs=2)  # linear 0.392, encoded


picture = cache(scene)


def cmyk(image):
    return image.convert("CMYK")


def sixteen_bit(image, alpha=False):
    """A PNG of 16 bits a channel; Pillow cannot write one."""
    pixels = np.asarray(image).astype(">u2") * 257
    if alpha:
        pixels = np.concatenate([pixels, np.full_like(pixels[:, :, :1], 65535)], axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", image.width, image.height, 16, 6 if alpha else 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def sepia(image):
    grey = np.asarray(image.convert("L"), dtype=float)[:, :, None]
    return Image.fromarray((grey * (1.0, 0.85, 0.65)).astype(np.uint8))


def translucent(image, share):
    """With so much of it wholly transparent."""
    alpha = np.full((image.height, image.width), 255, np.uint8)
    alpha[:, : round(share * image.width)] = 0
    layered = image.copy()
    layered.putalpha(Image.fromarray(alpha))
    return layered


P3 = rgb_profile(*SPACES["Display P3"])
# name -> (the file, the reason why it is dropped or None, the mode that is recorded)
MODES = {
    "RGB": (lambda image: encoded(image), None, "RGB"),
    "CMYK without a profile": (
        lambda image: encoded(cmyk(image), "jpeg", quality=95),
        None,
        "CMYK",
    ),
    "CMYK with a profile of greys": (
        lambda image: encoded(cmyk(image), "jpeg", icc_profile=cmyk_profile(50)),
        "low_information",
        "CMYK",
    ),
    "CMYK with a broken profile": (
        lambda image: encoded(cmyk(image), "jpeg", quality=95, icc_profile=b"none"),
        None,
        "CMYK",
    ),
    "Display P3": (lambda image: encoded(image, "jpeg", quality=95, icc_profile=P3), None, "RGB"),
    "a profile cut short": (lambda image: encoded(image, icc_profile=P3[:200]), None, "RGB"),
    "a profile of grey on colours": (
        lambda image: encoded(image, icc_profile=grey_profile(1.0)),
        None,
        "RGB",
    ),
    "16-bit RGB": (sixteen_bit, None, "RGB"),
    "16-bit RGBA": (lambda image: sixteen_bit(image, alpha=True), None, "RGBA"),
    "16-bit grey": (
        lambda image: encoded(
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        ),
        "grey",
        "I;16",
    ),
    "grey": (lambda image: encoded(image.convert("L"), "jpeg"), "grey", "L"),
    "grey in three channels": (
        lambda image: encoded(image.convert("L").convert("RGB"), "jpeg", quality=70),
        "grey",
        "RGB",
    ),
    "sepia": (lambda image: encoded(sepia(image), "jpeg", quality=90), "grey", "RGB"),
    "black and white": (lambda image: encoded(image.convert("1")), "grey", "1"),
    "palette": (lambda image: encoded(image.quantize(256)), None, "P"),
    "palette with transparency": (
        lambda image: encoded(image.quantize(16), transparency=0),
        "transparent",
        "P",
    ),
    "4 % transparent": (lambda image: encoded(translucent(image, 0.04)), None, "RGBA"),
    "6 % transparent": (lambda image: encoded(translucent(image, 0.06)), "transparent", "RGBA"),
    "grey with alpha": (lambda image: encoded(image.convert("LA")), "grey", "LA"),
}


@pytest.mark.parametrize("name", MODES)
def test_a_mode_ends_as_a_person_would_decide(name):
    make, expected, mode = MODES[name]
    for seed in range(2):
        row = judge(make(picture(seed)), CURATE)
        assert (row["reason"], row["mode"]) == (expected, mode)


@pytest.mark.parametrize("name", [name for name, (_, reason, _) in MODES.items() if not reason])
def test_kept_images_show_the_same_picture(name):
    clean, found = (
        decode(make(picture(7))).astype(int) for make in (MODES["RGB"][0], MODES[name][0])
    )
    columns = slice(16, None)  # the others are where it may be transparent
    assert np.abs(clean - found)[:, columns].mean() < 12


def test_grey_is_kept_if_allowed_with_three_equal_channels():
    content = MODES["grey"][0](picture(1))
    assert judge(content, but(CURATE, allow_grey=True))["outcome"] == "kept"
    pixels = decode(content)
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 1])
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_an_hdr_picture_is_dropped_by_its_own_reason():
    content = with_chunks(encoded(picture(3)), (b"cICP", bytes([9, 16, 0, 1])))
    row = judge(content, CURATE)
    assert (row["outcome"], row["reason"]) == ("dropped", "hdr")
    assert "PQ" in row["detail"]
    assert (row["width_px"], row["height_px"]) == (320, 200)  # as its header says


def test_a_wide_gamut_given_by_numbers_is_converted_as_one_given_by_a_profile():
    by_numbers = with_chunks(encoded(picture(3)), (b"cICP", bytes([12, 13, 0, 1])))
    by_profile = encoded(picture(3), icc_profile=P3)
    one, other = (decode(content).astype(int) for content in (by_numbers, by_profile))
    assert np.abs(one - other).max() <= 1
    assert judge(by_numbers, CURATE)["outcome"] == "kept"


def test_every_reason_of_the_report_has_an_explanation_and_a_step():
    steps = {reason for _, reasons in STEPS for reason in reasons}
    assert steps - FOREIGN == set(NOT_KEPT)
