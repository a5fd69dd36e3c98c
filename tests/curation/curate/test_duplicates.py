import random

import numpy as np
import pytest
from curation_pictures import scene
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from pdm.curation.curate.duplicates.find import Candidate, find_duplicates
from pdm.curation.curate.duplicates.small import differences, hashes_of, small_picture, stack

MAX_BITS, MAX_DIFFERENCE = 8, 0.25


def candidate(key, image, sha256="", num_pixels=100, sharpness=0.5):
    small = small_picture(np.asarray(image.convert("RGB")))
    return Candidate(key, sha256 or key, small, num_pixels, sharpness)


def match_candidates(candidates):
    return find_duplicates(candidates, MAX_BITS, MAX_DIFFERENCE)


def keepers(candidates):
    return {key: keeper for key, (keeper, _) in match_candidates(candidates).dropped.items()}


def cropped(image, share):
    across, down = round(share * image.width), round(share * image.height)
    return image.crop((across, down, image.width - across, image.height - down))


def shifted(image, share):
    """Another view of the scene: what leaves at the right comes in at the left, mirrored."""
    across = round(share * image.width)
    wide = Image.new("RGB", (image.width + across, image.height))
    wide.paste(ImageOps.mirror(image.crop((0, 0, across, image.height))), (0, 0))
    wide.paste(image, (across, 0))
    return wide.crop((0, 0, image.width, image.height))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((160, 100)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.2),
        lambda image: ImageEnhance.Contrast(image).enhance(0.7),
        lambda image: ImageEnhance.Color(image).enhance(1.3),
        lambda image: cropped(image, 0.01),
        ImageOps.mirror,
        lambda image: ImageOps.mirror(image.resize((200, 125))),
    ],
)
def test_an_edited_or_mirrored_copy_is_the_same_picture(change):
    for seed in range(12):
        original = candidate("original", scene(seed), num_pixels=200)
        assert keepers([candidate("copy", change(scene(seed))), original]) == {"copy": "original"}


def test_different_pictures_stay():
    assert not match_candidates([candidate(f"{seed}", scene(seed)) for seed in range(60)]).dropped


def test_an_upside_down_copy_is_another_picture():
    assert not keepers([candidate("up", scene(1)), candidate("down", ImageOps.flip(scene(1)))])


def sky(red, green, blue, star):
    """A dark slope of luma, so that the hash sees no more than the slope, and one light part."""
    slope = np.linspace(0.1, 1, 64)[:, None, None] * np.array((red, green, blue))
    picture = np.broadcast_to(slope, (64, 64, 3)).astype(np.uint8).copy()
    picture[star : star + 4, 8:56] = 90
    return Image.fromarray(picture)


def test_different_dark_skies_with_near_hashes_are_not_merged():
    red, blue = sky(70, 4, 4, 40), sky(4, 16, 90, 40)
    smalls = stack([small_picture(np.asarray(one)) for one in (red, blue)])
    plain, _ = hashes_of(smalls)
    assert np.bitwise_count(plain[0] ^ plain[1]) <= MAX_BITS
    assert differences(smalls[0], smalls[1:])[0] > MAX_DIFFERENCE
    assert not keepers([candidate("red", red), candidate("blue", blue)])


def test_a_mirror_image_has_the_mirrored_hash():
    smalls = stack([small_picture(np.asarray(scene(seed))) for seed in range(20)])
    plain, mirrored = hashes_of(smalls)
    plain_of_mirrors, mirrored_of_mirrors = hashes_of(smalls[:, :, ::-1])
    assert np.array_equal(plain_of_mirrors, mirrored)
    assert np.array_equal(mirrored_of_mirrors, plain)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"num_pixels": 200, "sharpness": 0.1}, {"num_pixels": 100, "sharpness": 0.9}),
        ({"sharpness": 0.6}, {"sharpness": 0.5}),
        ({"key": "a"}, {"key": "b"}),
    ],
)
def test_the_best_of_a_group_is_kept(better, worse):
    kept = candidate(**{"key": "k1", "image": scene(0)} | better)
    dropped = candidate(**{"key": "k0", "image": scene(0)} | worse)
    for order in ([kept, dropped], [dropped, kept]):
        assert keepers(order) == {dropped.key: kept.key}


@given(order=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_does_not_matter(order):
    candidates = [*CHAINS]
    order.shuffle(candidates)
    assert match_candidates(candidates) == match_candidates(CHAINS)


def chain(seed):
    """Views of a scene, each like the next one, the first and the last no more alike."""
    views = [shifted(scene(seed), 0.015 * step) for step in range(5)]
    return [
        candidate(f"{seed}-{step}", view, num_pixels=random.Random(step + seed).choice((1, 2)))
        for step, view in enumerate(views)
    ]


CHAINS = [one for seed in range(6) for one in chain(seed)]


def test_every_duplicate_matches_a_picture_that_is_kept():
    by_key = {one.key: one for one in CHAINS}
    dropped = keepers(CHAINS)
    assert dropped
    for key, keeper in dropped.items():
        assert keeper not in dropped
        small, other = stack([by_key[key].small, by_key[keeper].small])
        assert differences(small, other[None])[0] <= MAX_DIFFERENCE


def test_a_chain_is_one_cluster_even_if_both_ends_are_kept():
    together = match_candidates(CHAINS)
    kept_of_first = [one.key for one in chain(0) if one.key not in together.dropped]
    assert len(kept_of_first) > 1
    assert {together.clusters[one.key] for one in chain(0)} == {"0-0"}
    assert {name.split("-")[0] for name in together.clusters.values()} == set("012345")


def test_equal_files_are_exact_duplicates_and_share_their_fate():
    first = candidate("b", scene(0), sha256="s")
    same = candidate("a", scene(0), sha256="s", sharpness=0.4)
    alone = match_candidates([first, same])
    assert alone.dropped["a"][0] == "b"
    assert alone.dropped["a"][1].reason == "exact_duplicate"
    better = candidate("c", scene(0), num_pixels=200)
    together = match_candidates([first, same, better])
    assert {key: drop.reason for key, (_, drop) in together.dropped.items()} == {
        "a": "near_duplicate",
        "b": "near_duplicate",
    }
    assert {keeper for keeper, _ in together.dropped.values()} == {"c"}


def test_no_pictures_have_no_duplicates():
    assert match_candidates([]).dropped == {}


def test_the_nearest_picture_is_shown_on_both_sides_of_the_limit():
    pictures = [
        candidate("original", scene(0), num_pixels=3),
        candidate("copy", cropped(scene(0), 0.02), num_pixels=2),
        candidate("twin", cropped(scene(0), 0.02), sha256="copy", num_pixels=2),
        candidate("other", scene(1), num_pixels=1),
    ]
    limits = 64, MAX_DIFFERENCE  # the hash lets all through
    matches = find_duplicates(pictures, *limits)
    keeper, difference = matches.nearest["copy"]
    assert (keeper, matches.nearest["twin"]) == ("original", ("original", difference))
    assert matches.dropped.keys() == {"copy", "twin"}
    assert 0 < difference <= MAX_DIFFERENCE
    stricter = find_duplicates(pictures, 8, difference / 2)
    assert stricter.nearest["copy"] == ("original", difference)
    assert stricter.dropped.keys() == {"twin"}
    assert "original" not in matches.nearest


@given(st.permutations(range(12)), st.sampled_from([0.1, 0.25, 0.6]))
@settings(max_examples=15, deadline=None)
def test_a_dropped_picture_is_nearest_to_the_kept_one_and_a_kept_one_to_none(order, limit):
    views = [candidate(f"{n}", shifted(scene(n // 6), 0.02 * (n % 6)), num_pixels=n) for n in order]
    matches = find_duplicates(views, 12, limit)
    for key, (nearest, difference) in matches.nearest.items():
        assert nearest not in matches.dropped
        assert (difference <= limit) == (key in matches.dropped)
        assert key not in matches.dropped or matches.dropped[key][0] == nearest
    assert matches.dropped.keys() <= matches.nearest.keys()
