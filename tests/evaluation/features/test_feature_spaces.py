import dataclasses

import numpy as np
import pytest
from evaluation_folders import CONFIG, HEIGHT, WIDTH, landscape

from pdm.evaluation.features.batch import Batch, pictures_at_once
from pdm.evaluation.features.feature_spaces import cut_crops, feature_spaces
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.stream import StreamedMoments


def pictures(count=4):
    return np.stack([landscape(seed) for seed in range(count)])


@pytest.fixture(scope="module")
def spaces():
    extractor = RandomConvFeatures(CONFIG.num_features, CONFIG.seed)
    return feature_spaces(CONFIG, (HEIGHT, WIDTH), extractor, [])


def test_pictures_come_first_then_crops_then_levels_from_fine_to_coarse(spaces):
    assert [space.name for space in spaces] == [
        "random_conv",
        "random_conv_crops",
        "random_conv_level_32x64",
        "random_conv_level_16x32",
    ]


def test_every_feature_space_gives_its_vectors_per_picture_for_any_batch(spaces):
    batch, numbers = pictures(), np.arange(4)
    for space in spaces:
        together = space.extract(Batch(batch, numbers))
        assert together.shape == (4 * space.per_picture, CONFIG.num_features)
        alone = [space.extract(Batch(batch[[place]], numbers[[place]])) for place in range(4)]
        np.testing.assert_array_equal(together, np.concatenate(alone))


def test_crops_are_cut_from_the_picture_as_it_is():
    batch = pictures(1)
    for crop in cut_crops(batch, np.array([5]), CONFIG):
        assert crop.shape == (16, 16, 3)
        windows = np.lib.stride_tricks.sliding_window_view(batch[0], (16, 16, 3))
        assert (windows == crop).all((3, 4, 5)).any()


def test_crops_follow_from_the_pictures_number_and_the_seed():
    batch = pictures(2)
    both = cut_crops(batch, np.array([3, 8]), CONFIG)
    np.testing.assert_array_equal(both[2:], cut_crops(batch[[1]], np.array([8]), CONFIG))
    assert not np.array_equal(both[2:], cut_crops(batch[[1]], np.array([9]), CONFIG))
    reseeded = dataclasses.replace(CONFIG, seed=1)
    assert not np.array_equal(both, cut_crops(batch, np.array([3, 8]), reseeded))


def test_pictures_smaller_than_a_crop_give_their_largest_squares():
    large = dataclasses.replace(CONFIG, crop_px=299)
    assert cut_crops(pictures(1), np.array([0]), large).shape == (2, HEIGHT, HEIGHT, 3)


def test_noise_in_fine_detail_shows_in_the_finest_level(spaces):
    """A level is what the pictures differ in at that scale."""
    _, _, fine, coarse = spaces
    clean = pictures(1)
    noisy = (clean + 40 * (np.indices(clean.shape[1:3]).sum(0) % 2)[None, :, :, None]).clip(0, 255)
    change = [
        np.abs(
            space.extract(Batch(noisy.astype(np.uint8), np.zeros(1, np.int64)))
            - space.extract(Batch(clean, np.zeros(1, np.int64)))
        ).mean()
        for space in (fine, coarse)
    ]
    assert change[0] > 2 * change[1]


# how many pictures are looked at together


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2048, 2048), 1), ((1024, 2048), 2), ((256, 256), 16), ((9000, 9000), 1)],
)
def test_large_pictures_are_looked_at_in_smaller_batches(size, expected):
    assert pictures_at_once(16, size) == expected


def test_a_stream_takes_batches_of_any_size(spaces, monkeypatch):
    batch, numbers = pictures(5), np.arange(5)
    whole, in_parts = StreamedMoments(spaces), StreamedMoments(spaces)
    whole.add(batch, numbers)
    monkeypatch.setattr("pdm.evaluation.features.batch.MAX_PIXELS", 2 * HEIGHT * WIDTH)
    in_parts.add(batch, numbers)
    assert in_parts.num_pictures == 5
    for name, moments in whole.moments.items():
        ours, theirs = moments.moments(), in_parts.moments[name].moments()
        np.testing.assert_array_equal(ours.scatter, theirs.scatter)


def test_the_limit_on_a_batch_changes_no_score(evaluated, run, monkeypatch):
    monkeypatch.setattr("pdm.evaluation.features.batch.MAX_PIXELS", 3 * HEIGHT * WIDTH)
    assert run() == evaluated[1]
