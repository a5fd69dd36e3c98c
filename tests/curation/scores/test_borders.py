import io

import numpy as np
import pytest
from curation_pictures import scene
from PIL import Image, ImageDraw, ImageFilter

from pdm.curation.curate.framing.borders import NO_MARGINS, Margins, find_borders

SIDES = {
    "letterbox": Margins(0, 50, 0, 50),
    "pillarbox": Margins(70, 0, 70, 0),
    "frame": Margins(20, 20, 20, 20),
    "thin frame": Margins(5, 5, 5, 5),
    "unequal": Margins(30, 10, 50, 80),
    "scanned page": Margins(20, 60, 0, 0),
    "strip on the left": Margins(60, 0, 0, 0),
}
COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (200, 198, 201),
    "blue": (20, 40, 90),
}


def bordered(picture, margins, colour, grain=0.0):
    """The picture in a border, saved as a JPEG at twice the size and reduced."""
    size = (
        picture.width + margins.left + margins.right,
        picture.height + margins.top + margins.bottom,
    )
    canvas = np.full((size[1], size[0], 3), colour, dtype=np.float64)
    canvas += grain * np.random.default_rng(0).standard_normal(canvas.shape)
    framed = Image.fromarray(canvas.clip(0, 255).astype(np.uint8))
    framed.paste(picture, (margins.left, margins.top))
    file = io.BytesIO()
    framed.resize((2 * size[0], 2 * size[1])).save(file, "jpeg", quality=75)
    return np.asarray(Image.open(file).resize(size, Image.Resampling.BOX))


def is_trimmed(pixels, margins):
    found = find_borders(pixels)
    for side in ("left", "top", "right", "bottom"):
        excess = getattr(found, side) - getattr(margins, side)
        assert 0 <= excess <= 4, (side, found)
    return True


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("sides", SIDES)
def test_a_border_is_trimmed_to_a_few_pixels_inwards(sides, colour):
    for seed in range(3):
        picture = bordered(scene(seed, 500, 320), SIDES[sides], COLOURS[colour])
        assert is_trimmed(picture, SIDES[sides])


def test_paper_with_grain_is_trimmed():
    margins = Margins(30, 30, 30, 90)
    assert is_trimmed(bordered(scene(1, 500, 320), margins, (243, 238, 228), grain=3), margins)


def test_bars_within_a_frame_are_trimmed():
    inner = Image.fromarray(bordered(scene(2, 500, 240), Margins(0, 40, 0, 40), (0, 0, 0)))
    found = find_borders(bordered(inner, Margins(25, 25, 25, 25), (255, 255, 255)))
    assert found.left == pytest.approx(25, abs=4)
    assert found.top == pytest.approx(65, abs=6)


def test_a_picture_partly_of_the_borders_colour_is_kept_whole():
    night = scene(3, 500, 320)
    night.paste((0, 0, 0), (0, 0, 250, 160))
    margins = Margins(0, 50, 0, 50)
    assert is_trimmed(bordered(night, margins, (0, 0, 0)), margins)


def mountains(sky, ground, height=160, roughness=30, seed=0, size=(500, 320)):
    """A skyline of random steps between two tones, (H, W, 3)."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 1, size[0]).cumsum()
    line = height + roughness * (steps - steps.mean()) / max(np.ptp(steps), 1)
    below = np.arange(size[1])[:, None] > line
    picture = np.where(below[:, :, None], ground, sky).astype(np.float64)
    picture += 3 * random.standard_normal(picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def test_a_night_sky_over_mountains_is_no_border():
    for seed in range(5):
        assert find_borders(mountains((4, 4, 10), (70, 60, 50), seed=seed)) == NO_MARGINS


def test_stars_over_a_level_dark_sea_are_no_border():
    picture = mountains((2, 2, 6), (6, 8, 14), roughness=0)
    random = np.random.default_rng(1)
    picture[random.integers(0, 150, 200), random.integers(0, 500, 200)] = 220
    picture[160:163, 100:400] = 90  # a glimmer along the horizon
    assert find_borders(picture) == NO_MARGINS


def test_a_burnt_out_sky_over_a_level_sea_is_no_border():
    assert find_borders(mountains((255, 255, 255), (60, 90, 110), roughness=0)) == NO_MARGINS


def test_snow_below_a_dark_forest_is_no_border():
    for seed in range(5):
        picture = mountains((40, 50, 45), (250, 250, 252), seed=seed)
        assert find_borders(picture) == NO_MARGINS


def test_fog_that_thickens_upwards_is_no_border():
    tone = np.linspace(235, 90, 320)[:, None, None] * np.ones((1, 500, 3))
    grain = 2 * np.random.default_rng(2).standard_normal((320, 500, 1))
    assert find_borders((tone + grain).clip(0, 255).astype(np.uint8)) == NO_MARGINS


def test_a_treeline_between_white_sky_and_white_snow_is_no_border():
    picture = mountains((250, 250, 250), (30, 40, 30), height=140)
    snow = mountains((30, 40, 30), (250, 250, 250), height=200, roughness=20, seed=4)
    assert find_borders(np.where(np.arange(320)[:, None, None] > 180, snow, picture)) == NO_MARGINS


def test_a_lamp_in_the_dark_is_no_picture_in_a_frame():
    night = Image.new("RGB", (500, 320), (3, 3, 5))
    ImageDraw.Draw(night).ellipse((200, 100, 300, 200), fill=(250, 230, 160))
    assert find_borders(np.asarray(night.filter(ImageFilter.GaussianBlur(12)))) == NO_MARGINS


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_a_plain_picture_has_no_border(tone):
    assert find_borders(np.full((200, 300, 3), tone, np.uint8)) == NO_MARGINS


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (300, 3, 3)])
def test_a_tiny_picture_has_none(shape):
    assert find_borders(np.zeros(shape, np.uint8)) == NO_MARGINS


def test_a_mirrored_picture_has_the_mirrored_border():
    pixels = bordered(scene(5, 400, 300), Margins(30, 10, 50, 80), (0, 0, 0))
    found, mirrored = find_borders(pixels), find_borders(pixels[::-1, ::-1])
    assert (found.left, found.top) == (mirrored.right, mirrored.bottom)
