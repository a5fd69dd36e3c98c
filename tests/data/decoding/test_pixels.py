"""Every colour mode, orientation and kind of damage, in files made here."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pdm.data.decoding.pixels import Box, Unreadable, decode, read_header
from pdm.data.decoding.resize import crop_and_resize

SIZE = (48, 32)  # width, height


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def ramp() -> Image.Image:
    """Different in every corner, so that a wrong turn shows."""
    across, down = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    return Image.fromarray(np.stack([across, down, 0 * across + 60], axis=-1).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_plain_pixels_come_through_unchanged():
    assert np.array_equal(decode(encoded(noise(*SIZE))), np.asarray(noise(*SIZE)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_upright_picture(orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # the camera's turn, which the reader takes back
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = ramp().transpose(undo[orientation]) if orientation in undo else ramp()
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, "jpeg", quality=98, subsampling=0, exif=exif)
    header = read_header(content)
    assert (header.width_px, header.height_px) == SIZE
    assert np.abs(decode(content).astype(int) - np.asarray(ramp())).max() <= 6


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (200, 0, 0, 255), (200, 0, 0)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),  # transparent: the page shows through
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (100, 0), (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
    ],
)
def test_grey_and_transparent_modes(mode, colour, expected):
    pixels = decode(encoded(Image.new(mode, SIZE, colour)))
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    assert tuple(pixels[5, 7]) == expected


def test_palette_with_and_without_transparency():
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert tuple(decode(encoded(image))[0, 0]) == (10, 200, 30)
    assert tuple(decode(encoded(image, transparency=1))[0, 0]) == (255, 255, 255)


@pytest.mark.parametrize("value", [0, 30000, 65535])
def test_sixteen_bit_grey_is_scaled_not_clipped(value):
    content = encoded(Image.fromarray(np.full(SIZE[::-1], value, dtype=np.uint16)))
    assert read_header(content).mode.startswith("I")
    assert set(decode(content).flat) == {round(value / 257)}


def test_sixteen_bit_rgb_is_scaled():
    rows = b"".join(b"\0" + struct.pack(">3H", 30000, 0, 65535) * 4 for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    pixels = decode(content + chunk(b"IEND", b""))
    assert np.abs(pixels[0, 0].astype(int) - (30000 // 257, 0, 255)).max() <= 1


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    ("ink", "strongest"), [((0, 255, 255, 0), 0), ((255, 0, 255, 0), 1), ((255, 255, 0, 0), 2)]
)
def test_cmyk_jpeg_is_not_inverted(ink, strongest):
    pixels = decode(encoded(Image.new("CMYK", SIZE, ink), "jpeg", quality=95))
    assert pixels[4, 4].argmax() == strongest
    assert pixels[4, 4].min() < 60


def test_a_colour_profile_is_applied():
    image = Image.new("L", SIZE, 100)
    gamma_one = grey_profile()
    plain, converted = decode(encoded(image)), decode(encoded(image, icc_profile=gamma_one))
    # Linear light 100/255 is 0.392; the sRGB curve makes 0.66 of it.
    assert plain[0, 0, 0] == 100
    assert converted[0, 0, 0] == pytest.approx(255 * 0.6624, abs=4)


def grey_profile() -> bytes:
    """A minimal grey ICC profile of gamma 1."""
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(8 + 3 + 67)
    tags, offset, table, body = [(b"kTRC", curve), (b"wtpt", white), (b"desc", name)], 0, b"", b""
    offset = 128 + 4 + 12 * len(tags)
    for tag, content in tags:
        table += tag + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    body = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + body


@pytest.mark.parametrize("profile", [b"nonsense", grey_profile()[:150], grey_profile()])
def test_a_broken_or_foreign_profile_leaves_the_pixels(profile):
    content = encoded(noise(*SIZE), icc_profile=profile)
    assert np.array_equal(decode(content), np.asarray(noise(*SIZE)))


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = encoded(noise(*SIZE), icc_profile=profile)
    assert np.array_equal(decode(content), np.asarray(noise(*SIZE)))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_unreadable(kind, share):
    content = encoded(noise(200, 200), kind)
    with pytest.raises(Unreadable):
        decode(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><title>Gone</title>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        bytes(5000),
    ],
)
def test_what_is_no_picture_is_unreadable(content):
    with pytest.raises(Unreadable):
        read_header(content)


def test_rare_formats_are_not_opened():
    with pytest.raises(Unreadable, match="a GIF"):
        read_header(encoded(ramp().convert("P"), "gif"))


def test_a_huge_picture_shows_its_size_without_being_decoded():
    header = struct.pack(">IIBBBBB", 60000, 60000, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x")
    assert read_header(content).width_px == 60000


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_animations_are_distinguished_from_stills(kind):
    frames = [noise(*SIZE), ramp()]
    animated = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert read_header(animated).animated
    assert not read_header(encoded(frames[0], kind)).animated


def test_a_jpeg_of_several_pictures_is_a_still():
    content = encoded(noise(*SIZE), "mpo", save_all=True, append_images=[ramp()])
    assert not read_header(content).animated
    assert decode(content).shape == (SIZE[1], SIZE[0], 3)


def test_damaged_exif_does_not_lose_the_picture():
    content = encoded(ramp(), "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x99")
    assert decode(content).shape == (SIZE[1], SIZE[0], 3)


def test_a_cut_of_equal_size_copies_the_pixels():
    pixels = np.asarray(noise(60, 40))
    assert np.array_equal(crop_and_resize(pixels, Box(5, 3, 20, 10), 20, 10), pixels[3:13, 5:25])


def natural(width: int, height: int) -> np.ndarray:
    """Power falls with the square of the frequency, as in photographs."""
    random = np.random.default_rng(0)
    distance = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / width
    spectrum = np.fft.fft2(random.standard_normal((3, height, width))) / distance
    values = np.fft.ifft2(spectrum).real
    scaled = 128 + 45 * values / values.std(axis=(1, 2), keepdims=True)
    return scaled.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def floating_lanczos(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Both passes in floating point, nothing rounded or clipped between them."""
    reduced = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS)
        for channel in pixels.astype(np.float32).transpose(2, 0, 1)
    ]
    return np.stack(reduced, axis=-1).clip(0, 255)


@pytest.mark.parametrize("times", [1.1, 1.37, 2, 2.9, 4])
def test_a_cut_is_the_antialiased_lanczos_reduction_within_the_stated_error(times):
    width, height = round(400 / times), round(300 / times)
    for pixels, least_db, most in (
        (natural(400, 300), 54, 0.4),
        (np.asarray(noise(400, 300)), 43, 1),
    ):
        found = crop_and_resize(pixels, Box(0, 0, 400, 300), width, height)
        exact = floating_lanczos(pixels, width, height)
        assert psnr_db(found, exact) > least_db
        assert np.abs(found - exact).mean() < most
        peer = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
        assert np.abs(found.astype(int) - np.asarray(peer)).max() <= 2
        assert psnr_db(found, np.asarray(peer)) > 65


def test_a_cut_reads_nothing_outside_its_box():
    pixels = np.asarray(noise(128, 96))
    inside = pixels[16:80].copy()
    found = crop_and_resize(pixels, Box(0, 16, 128, 64), 64, 32)
    assert np.array_equal(found, crop_and_resize(inside, Box(0, 0, 128, 64), 64, 32))


def test_a_cut_never_enlarges():
    with pytest.raises(AssertionError):
        crop_and_resize(np.asarray(noise(64, 48)), Box(0, 0, 20, 10), 21, 10)
