"""Transparent parts show the background, however the file says that they are transparent."""

import struct

import numpy as np
import pytest
from PIL import Image
from shared.picture_files import encoded, png

from pdm.data.decoding import alpha
from pdm.data.decoding.pixels import decode, decode_view

BACKGROUND = (10, 20, 30)
SIDE = 16
ORANGE = (200, 100, 50)
FULL = {"quality": 100, "subsampling": "4:4:4"}


def halves(left, right, mode):
    """Two colours side by side."""
    image = Image.new(mode, (SIDE, SIDE), right)
    image.paste(left, (0, 0, SIDE // 2, SIDE))
    return image


def with_alpha(kind, hidden, **options):
    return encoded(halves((*hidden, 0), (*ORANGE, 255), "RGBA"), kind, **options)


def samples(depth, *values):
    """Rows of 4 pixels, the values packed as a PNG has them."""
    bits = "".join(f"{value:0{depth}b}" for value in values)
    num_bytes = -(-len(bits) // 8)
    return [int(bits.ljust(8 * num_bytes, "0"), 2).to_bytes(num_bytes)] * 4


def key(values):
    """The chunk that makes one colour transparent."""
    return (b"tRNS", struct.pack(f">{len(values)}H", *values))


def palette(depth, *alphas):
    colours = (b"PLTE", bytes([210, 120, 30, *ORANGE]))
    return png(samples(depth, 0, 0, 1, 1), 4, depth, 3, colours, (b"tRNS", bytes(alphas)))


# The left half of each is transparent, the right one of this colour.
FILES = {
    "PNG": (with_alpha("png", (9, 9, 9)), ORANGE),
    "PNG, 16 bits": (
        png(samples(16, *(9, 9, 9, 0) * 2, *(51400, 25700, 12850, 65535) * 2), 4, 16, 6),
        ORANGE,
    ),
    "PNG, grey": (encoded(halves((9, 0), (100, 255), "LA"), "png"), (100, 100, 100)),
    "PNG, grey, 16 bits": (
        png(samples(16, *(9, 0) * 2, *(25700, 65535) * 2), 4, 16, 4),
        (100, 100, 100),
    ),
    "WebP, lossless": (with_alpha("webp", (9, 9, 9), lossless=True), ORANGE),
    "WebP, lossy": (with_alpha("webp", ORANGE, quality=100), ORANGE),
    "AVIF": (with_alpha("avif", ORANGE, **FULL), ORANGE),
    "AVIF, premultiplied": (
        with_alpha("avif", (0, 0, 0), alpha_premultiplied=True, **FULL),
        ORANGE,
    ),
} | {f"palette of {depth} bits": (palette(depth, 0, 255), ORANGE) for depth in (1, 2, 4, 8)}


@pytest.mark.parametrize("name", FILES)
def test_the_background_shows_through_an_alpha_channel(name):
    assert_half_is_background(*FILES[name], tolerance=6 if "lossy" in name or "AVIF" in name else 1)


def assert_half_is_background(content, colour, tolerance=1):
    view = decode_view(content, 1, BACKGROUND)
    assert view.transparent_share == pytest.approx(0.5, abs=0.01)
    left, right = view.pixels[1, 0].astype(int), view.pixels[1, -1].astype(int)
    assert left == pytest.approx(BACKGROUND, abs=tolerance)
    assert right == pytest.approx(colour, abs=tolerance)


@pytest.mark.parametrize(
    ("depth", "hidden", "shown", "decoded"),
    [
        (1, [0], [1], [255] * 3),
        (1, [1], [0], [0] * 3),
        (2, [2], [1], [85] * 3),
        (4, [7], [3], [51] * 3),
        (8, [77], [33], [33] * 3),
        (16, [25700], [25701], [100] * 3),
        (8, [1, 2, 3], [1, 2, 4], [1, 2, 4]),
        (16, [1000, 2000, 3000], [1001, 2000, 3000], [4, 8, 12]),
    ],
)
def test_one_colour_of_grey_or_rgb_may_mean_transparent(depth, hidden, shown, decoded):
    rows = samples(depth, *hidden * 2, *shown * 2)
    colour_type = {1: 0, 3: 2}[len(hidden)]
    assert_half_is_background(png(rows, 4, depth, colour_type, key(hidden)), decoded)
    if depth in (2, 4, 8):  # bits beyond the depth do not count
        more = [value + 2**depth for value in hidden]
        assert_half_is_background(png(rows, 4, depth, colour_type, key(more)), decoded)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_that_no_pixel_has_makes_nothing_transparent(depth, num_channels):
    rows = samples(depth, *range(40, 40 + 4 * num_channels))
    plain = png(rows, 4, depth, num_channels - 1)
    keyed = png(rows, 4, depth, num_channels - 1, key([90] * num_channels))
    assert np.array_equal(decode(keyed, BACKGROUND), decode(plain))
    assert decode_view(keyed, 1).transparent_share == 0


HALF = Image.new("RGBA", (SIDE, SIDE), (210, 120, 30, 128))
HALF_TRANSPARENT = {
    "PNG": encoded(HALF, "png"),
    "PNG, 16 bits": png(samples(16, *(53970, 30840, 7710, 32896) * 4), 4, 16, 6),
    "WebP": encoded(HALF, "webp", lossless=True),
    "AVIF": encoded(HALF, "avif", **FULL),
    "AVIF, premultiplied": encoded(HALF, "avif", alpha_premultiplied=True, **FULL),
    "palette": palette(8, 128, 128),
}


@pytest.mark.parametrize("name", HALF_TRANSPARENT)
def test_what_is_half_transparent_is_mixed_with_the_background(name):
    view = decode_view(HALF_TRANSPARENT[name], 1, BACKGROUND)
    assert view.transparent_share == pytest.approx(127 / 255, abs=0.005)
    assert view.pixels[2, 0].astype(int) == pytest.approx((110, 70, 30), abs=4)


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa"])
def test_rare_modes_of_alpha_are_split_too(mode):
    rgba = halves((9, 9, 9, 0), (100, 100, 100, 255), "RGBA")
    source = rgba.convert("LA") if mode == "La" else rgba
    colour, transparency = alpha.split(source.convert(mode), b"")
    assert transparency is not None
    assert alpha.transparent_share(transparency) == 0.5
    assert np.asarray(colour.convert("RGB"))[0, -1].tolist() == [100, 100, 100]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_an_opaque_picture_has_no_transparent_share(kind):
    content = encoded(Image.new("RGB", (SIDE, SIDE), ORANGE), kind)
    assert decode_view(content, 1, BACKGROUND).transparent_share == 0
