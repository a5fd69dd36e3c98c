import numpy as np
import pytest

from pdm.tasks.partial_pictures.compose import extend, fill_in, soften


@pytest.fixture
def picture():
    rows, columns = np.mgrid[0:60, 0:90]
    values = np.stack([2 * rows, columns, rows + columns], axis=-1)
    noise = np.random.default_rng(0).integers(0, 20, (60, 90, 3))
    return (values + noise).astype(np.uint8)


@pytest.fixture
def mask():
    mask = np.zeros((60, 90), bool)
    mask[20:41, 30:70] = True
    return mask


def test_known_pixels_come_back_to_the_bit_even_after_ten_edits(picture, mask):
    drawn = np.random.default_rng(1).integers(0, 256, picture.shape, np.uint8)
    result = picture
    for seed in range(10):
        moved = np.roll(mask, seed, axis=1)
        result = fill_in(result, np.roll(drawn, seed), soften(moved, 0))
    never = ~np.any([np.roll(mask, seed, axis=1) for seed in range(10)], axis=0)
    assert (result[never] == picture[never]).all()


def test_what_is_drawn_too_bright_leaves_no_step_at_the_edge(picture, mask):
    """An autoencoder shifts colours; its shift must not be seen where the drawn part begins."""
    brighter = (picture.astype(int) + 25).clip(0, 255).astype(np.uint8)
    result = fill_in(picture, brighter, soften(mask, 0)).astype(int)
    assert np.abs(result - picture)[mask].mean() < 1
    assert np.abs(brighter.astype(int) - picture)[mask].mean() > 20


def test_grain_that_the_autoencoder_loses_fades_inside_the_edge(picture, mask):
    """Cut off there, it would show as a step between the last known and the first drawn pixel."""
    rows, columns = np.mgrid[0:60, 0:90]
    smooth = np.stack([2 * rows, columns, rows + columns], axis=-1) + 10  # the picture's mean
    result = fill_in(picture, smooth.astype(np.uint8), soften(mask, 0)).astype(int) - smooth
    grain = picture.astype(int) - smooth
    known, first, inside = grain[19, 35:65].ravel(), result[20, 35:65].ravel(), result[28, 35:65]
    assert np.corrcoef(known, first)[0, 1] > 0.85
    steps = np.abs(first - known).mean() / np.abs(grain[18, 35:65].ravel() - known).mean()
    assert steps < 0.5
    assert np.abs(inside).mean() < 0.25 * np.abs(known).mean()


def test_a_soft_edge_blends_outside_the_mask_and_no_further(picture, mask):
    drawn = np.full_like(picture, 200)
    alpha = soften(mask, 4)
    assert (alpha[mask] == 1).all()
    assert 0 < alpha[41, 50] < 1
    assert alpha[46, 50] == 0
    result = fill_in(picture, drawn, alpha)
    assert (result[alpha == 0] == picture[alpha == 0]).all()
    assert (soften(mask, 0) == mask).all()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 33)])
def test_values_are_extended_without_a_gap_and_kept_where_they_are_known(shape):
    rng = np.random.default_rng(2)
    known = rng.random(shape) < 0.1
    known.flat[0] = True
    values = rng.normal(5, 1, (*shape, 3)).astype(np.float32)
    found = extend(values, known)
    assert (found[known] == values[known]).all()
    assert found.min() >= values[known].min() - 1e-4
    assert found.max() <= values[known].max() + 1e-4
    assert (extend(values, np.zeros(shape, bool)) == 0).all()
