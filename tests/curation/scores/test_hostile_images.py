"""Files as they come from the open web, each to the reason that a person would give.

Each case bears its number in the project's list of faults (A1 to A25); colour modes and profiles
(A10 to A14) are in `test_hostile_colours`, crashes and hangs of a decoder (A19, A20) in
`test_isolated`, pictures of people below. `hostile_files` makes the files.
"""

import hashlib
import random
import resource
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from curation_pictures import CURATE, SHARD, but, enlarged, scene
from hostile_files import (
    BOMB,
    JPEG,
    MIB,
    PNG,
    animation,
    blank_png,
    cartoon,
    chart,
    encoded,
    gradient,
    in_borders,
    many_scans,
    nearest,
    picture,
    resized,
    screenshot,
    soft_behind,
    sunset,
    turned,
    with_chunks,
)
from PIL import Image, ImageFilter
from portraits import meadow, paste_person

from pdm.config.stages.curate import PeopleConfig
from pdm.curation.curate.duplicates.find import Candidate, find_duplicates
from pdm.curation.curate.judge import judge
from pdm.curation.curate.rules import RULES
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.curation.shard.split import assign_splits
from pdm.curation.shard.write import encode
from pdm.data.decoding.pixels import Box, decode
from pdm.data.decoding.resize import crop_and_resize

# (case, what it is) -> (the file, the reason why it is dropped or None)
CASES = {
    ("A1", "a JPEG cut at a tenth"): (JPEG[: len(JPEG) // 10], "unreadable"),
    ("A1", "a JPEG cut at half"): (JPEG[: len(JPEG) // 2], "unreadable"),
    ("A1", "a JPEG without its last twentieth"): (JPEG[: len(JPEG) * 19 // 20], "unreadable"),
    ("A1", "a PNG cut at half"): (PNG[: len(PNG) // 2], "unreadable"),
    ("A2", "an empty file"): (b"", "unreadable"),
    ("A3", "a web page"): (b"<!DOCTYPE html><title>404</title>", "unreadable"),
    ("A3", "JSON"): (b'{"error": "gone"}', "unreadable"),
    ("A3", "text"): (b"Not found", "unreadable"),
    ("A3", "noise"): (random.Random(0).randbytes(5000), "unreadable"),
    ("A6", "a strip one pixel wide"): (blank_png(1, 60000), "too_small"),
    ("A6", "a strip large enough"): (encoded(scene(2, 1200, 140)), "wrong_shape"),
    ("A7", "a pixel too narrow"): (encoded(scene(3, 255, 128)), "too_small"),
    ("A7", "a pixel too low"): (encoded(scene(3, 256, 127)), "too_small"),
    ("A15", "an animated GIF"): (animation("gif"), "unreadable_gif"),
    ("A15", "an animated WebP"): (animation("webp"), "animated"),
    ("A15", "an animated PNG"): (animation("png"), "animated"),
    ("A16", "a TIFF"): (encoded(picture(1), "tiff"), "unreadable_tiff"),
    ("A16", "a BMP"): (encoded(picture(1), "bmp"), "unreadable_bmp"),
    ("A16", "a JPEG 2000"): (encoded(picture(1), "jpeg2000"), "unreadable_jpeg2000"),
    ("A16", "a HEIC"): (b"\0\0\0\x18ftypheic" + bytes(500), "unreadable_heic"),
    ("A16", "a HEIF of another brand"): (b"\0\0\0\x18ftypmif1" + bytes(500), "unreadable_heic"),
    ("A16", "a bare JPEG XL"): (b"\xff\x0a" + bytes(500), "unreadable_jpegxl"),
    ("A16", "a boxed JPEG XL"): (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "unreadable_jpegxl"),
    ("A16", "a PSD"): (b"8BPS\0\1" + bytes(500), "unreadable_psd"),
    ("A16", "an EPS"): (encoded(picture(1), "eps"), "unreadable_eps"),
    ("A16", "a FITS"): (b"SIMPLE  =" + b" " * 500, "unreadable_fits"),
    ("A16", "a PDF"): (b"%PDF-1.7\n", "unreadable_pdf"),
    ("A16", "an SVG"): (b'<?xml version="1.0"?><svg width="9"/>', "unreadable_svg"),
    ("A16", "an AVIF, which is read"): (encoded(picture(1), "avif", quality=90), None),
    ("A17", "a JPEG with a zip behind it"): (JPEG + b"PK\3\4" + bytes(10 * MIB), None),
    ("A18", "a text that inflates to 100 MiB"): (with_chunks(PNG, BOMB), "unreadable"),
    ("A18", "100,000 texts"): (with_chunks(PNG, *[(b"tEXt", b"a\0b")] * 100_000), None),
    ("A19", "a JPEG of a thousand scans"): (many_scans(1000), "unreadable"),
    ("A21", "one colour"): (
        encoded(Image.new("RGB", (320, 200), (90, 120, 150))),
        "low_information",
    ),
    ("A21", "a slow gradient"): (
        encoded(gradient()),
        "low_information",
    ),
    ("A21", "nearly black"): (encoded(picture(4).point(lambda v: v // 14)), "dark"),
    ("A21", "under-exposed"): (encoded(picture(4).point(lambda v: max(0, v - 150))), "dark"),
    ("A21", "nearly white"): (encoded(picture(4).point(lambda v: 238 + v // 16)), "light"),
    ("A21", "over-exposed"): (encoded(picture(4).point(lambda v: min(255, 4 * v))), "light"),
    ("A22", "out of focus"): (encoded(picture(5).filter(ImageFilter.GaussianBlur(4))), "blurry"),
    ("A22", "moved"): (encoded(picture(5).filter(ImageFilter.BoxBlur((10, 10)))), "blurry"),
    ("A22", "enlarged 3 times, cubic"): (encoded(enlarged(picture(6), 3), quality=95), "enlarged"),
    ("A22", "enlarged 3 times, linear"): (
        encoded(resized(picture(6), 3, Image.Resampling.BILINEAR), quality=95),
        "enlarged",
    ),
    ("A22", "enlarged 3 times, Lanczos"): (
        encoded(resized(picture(6), 3, Image.Resampling.LANCZOS), quality=95),
        "enlarged",
    ),
    ("A22", "enlarged twice, nearest"): (encoded(nearest(picture(6), 2), quality=95), "enlarged"),
    ("A22", "enlarged 4 times, nearest"): (encoded(nearest(picture(6), 4), quality=95), "blocky"),
    ("A22", "a sharp subject before a soft background"): (encoded(soft_behind(picture(7))), None),
    ("A23", "letterboxed"): (encoded(in_borders(picture(8), 0, 60, "black")), None),
    ("A23", "pillarboxed, in white"): (encoded(in_borders(picture(8), 40, 0, "white")), None),
    ("A23", "too small without its bars"): (
        encoded(in_borders(scene(8, 320, 120), 0, 40, "black")),
        "too_small",
    ),
    ("A23", "small in a wide mat"): (encoded(in_borders(picture(8), 200, 150, "white")), "border"),
    ("-", "recompressed to nothing"): (encoded(picture(9), quality=8), "blocky"),
    ("-", "a screenshot"): (encoded(screenshot(), "png"), "drawing"),
    ("-", "a screenshot as a JPEG"): (encoded(screenshot(), quality=90), "drawing"),
    ("-", "a chart"): (encoded(chart(), "png"), "drawing"),
    ("-", "a cartoon"): (encoded(cartoon(), "png"), "drawing"),
    ("-", "a sunset"): (encoded(sunset(picture(10))), None),
} | {("A9", f"EXIF orientation {number}"): (turned(number), None) for number in range(1, 9)}


@pytest.mark.parametrize(("case", "what"), CASES)
def test_a_file_ends_as_a_person_would_decide(case, what):
    content, expected = CASES[case, what]
    begin = time.perf_counter()
    row = judge(content, but(CURATE, allow_drawings=expected != "drawing"))
    assert time.perf_counter() - begin < 5
    assert row["reason"] == expected
    if expected is None:
        assert row["detail"] is None
    else:
        assert row["detail"].endswith(".")


# A4, A5: size is told by the header


@pytest.mark.parametrize(
    "side",
    [30_000, 12_000],
)
def test_a_huge_picture_costs_neither_time_nor_memory(side):
    content = blank_png(side, side)
    assert len(content) < MIB
    config = but(CURATE, max_megapixels=120.0)
    in_use = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    begin = time.perf_counter()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 50 * MIB, limits[1]))
        row = judge(content, config)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert time.perf_counter() - begin < 1
    assert row["reason"] == "too_many_pixels"
    assert f"{side} x {side}" in row["detail"]


# A8, A9, A17: what is kept


@pytest.mark.parametrize("size", [(256, 128), (256, 256)])
def test_a_picture_of_the_finished_size_keeps_its_very_pixels(size):
    config = but(CURATE, height_px=size[1])
    content = encoded(scene(11, *size), "png")
    row = judge(content, config)
    assert row["outcome"] == "kept"
    box = Box(*(row[f"crop_{name}_px"] for name in ("left", "top", "width", "height")))
    assert np.array_equal(
        crop_and_resize(decode(content), box, *size), np.asarray(scene(11, *size))
    )


def test_every_orientation_is_measured_as_the_same_picture():
    rows = [judge(turned(number), CURATE) for number in range(1, 9)]
    assert all(row == rows[0] for row in rows)
    assert (rows[0]["width_px"], rows[0]["height_px"]) == (320, 200)


def test_size_is_judged_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(scene(12, 200, 320), "png", exif=exif)
    standing = encoded(scene(12, 320, 200), "png", exif=exif)
    assert judge(lying, CURATE)["outcome"] == "kept"
    assert judge(standing, CURATE)["reason"] == "too_small"


def test_what_hangs_on_behind_a_picture_is_not_passed_on():
    content, _ = CASES["A17", "a JPEG with a zip behind it"]
    assert judge(content, CURATE) == judge(JPEG, CURATE)
    crop = crop_and_resize(decode(content), Box(0, 0, 320, 160), 256, 128)
    assert len(encode(crop, SHARD)) < 3 * crop.size


def test_the_crop_has_no_borders():
    for what, side, above in (("letterboxed", 0, 60), ("pillarboxed, in white", 40, 0)):
        row = judge(CASES["A23", what][0], CURATE)
        assert row["crop_top_px"] >= above
        assert row["crop_top_px"] + row["crop_height_px"] <= row["height_px"] - above
        assert row["crop_left_px"] >= side
        assert row["crop_left_px"] + row["crop_width_px"] <= row["width_px"] - side


# no false alarms


CLEAN = {
    **{
        f"JPEG of quality {quality}": ("jpeg", {"quality": quality}) for quality in (60, 75, 92, 98)
    },
    "progressive JPEG": ("jpeg", {"progressive": True, "quality": 85}),
    "JPEG at full colour resolution": ("jpeg", {"subsampling": 0, "quality": 85}),
    "PNG": ("png", {}),
    "WebP": ("webp", {"quality": 80}),
    "AVIF": ("avif", {"quality": 80}),
}


@pytest.mark.parametrize("name", CLEAN)
def test_no_rule_cries_at_clean_pictures(name):
    kind, options = CLEAN[name]
    for image in clean_pictures():
        row = judge(encoded(image, kind, **options), CURATE)
        assert not [drop for rule in RULES if (drop := rule(row, CURATE))]


@cache
def clean_pictures() -> list[Image.Image]:
    drawn = [Image.fromarray(draw(2, index, 640, 360)) for index in range(6)]
    return [picture(seed) for seed in range(20, 26)] + [
        landscape.resize((320, 180), Image.Resampling.LANCZOS) for landscape in drawn
    ]


# A24, A25: one of each


@cache
def copies() -> tuple[Candidate, ...]:
    """A picture and its copies, the original first, with two that are others."""
    whole = scene(40, 640, 400)
    cropped = whole.crop((6, 4, 634, 396))
    files = {
        "original": encoded(whole, "png"),
        "same bytes": encoded(whole, "png"),
        "same pixels": encoded(whole, "webp", lossless=True),
        "resized": encoded(whole.resize((480, 300), Image.Resampling.LANCZOS), quality=80),
        "cropped by 2 %": encoded(cropped, quality=90),
        "another": encoded(scene(41, 640, 400)),
        "a third": encoded(scene(42, 640, 400)),
    }
    rows = {name: judge(content, CURATE) for name, content in files.items()}
    return tuple(
        Candidate(
            key=name,
            sha256=hashlib.sha256(files[name]).hexdigest(),
            small=row["small"],
            num_pixels=row["width_px"] * row["height_px"],
            sharpness=row["sharpness"],
        )
        for name, row in rows.items()
    )


def test_one_of_several_copies_is_kept_in_any_order():
    candidates = list(copies())
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(candidates)
        found.append(find_duplicates(candidates, 8, 0.25).dropped)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4
    assert {"another", "a third", "resized"} - found[0].keys() == {"another", "a third"}
    reasons = sorted(drop.reason for _, drop in found[0].values())
    assert reasons == ["exact_duplicate", *["near_duplicate"] * 3]


def test_copies_are_never_on_both_sides_of_the_split():
    candidates = copies()
    clusters = find_duplicates(candidates, 8, 0.25).clusters
    assert len(set(clusters.values())) == 3
    for fraction in (0.1, 0.5, 0.9):
        rows = [
            {"key": one.key, "sha256": one.sha256, "cluster": clusters[one.key], "outcome": "kept"}
            for one in candidates
        ]
        splits = assign_splits(rows, fraction)
        alike = {splits[one.key] for one in candidates if clusters[one.key] == clusters["resized"]}
        assert len(alike) == 1


# pictures of people, where people are wanted


PEOPLE = but(
    CURATE,
    height_px=256,
    people=PeopleConfig(min_faces=1, max_faces=2, min_face_share=0.12),
)


def group(*heights: int) -> Image.Image:
    ground = meadow(640, 320)
    for place, height in enumerate(heights):
        paste_person(ground, place % 2, height, 30 + 150 * place, 80)
    return ground


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (group(80), None),
        (group(60, 90), None),
        (group(), "no_people"),
        (group(20), "no_people"),  # a passer-by, smaller than an eighth of the crop
        (group(60, 60, 60), "crowd"),
    ],
)
def test_pictures_of_people_end_as_a_person_would_decide(image, expected):
    config = but(PEOPLE, min_detail_share=0.0, max_repetition=1.0, min_high_frequency=0.0)
    row = judge(encoded(image, quality=95), but(config, min_sharpness=0.0))
    assert row["reason"] == expected
