"""Pictures enlarged by tiny models, against the same drawn as a whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from enlarging import picture_of
from PIL import Image
from tiny_chain import SAMPLE

from pdm.config.sampling.tiling import MODES, TilingConfig
from pdm.config.task import SemanticTask
from pdm.diffusion.samplers import noise_from_seeds
from pdm.errors import BadInput
from pdm.inference.any_size.tiled.canvas import enlarging_factors, make_canvas
from pdm.inference.any_size.tiled.decode import decode_bands
from pdm.inference.any_size.tiled.enlarge import Job, enlarge
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.latent_sampling import KnownLatents, SamplingInputs
from pdm.models.condition import Condition


def enlarge_at_once(loaded, picture, factor=2, **settings):
    return np.concatenate(list(enlarge(loaded, picture, factor, **settings)))


@pytest.mark.parametrize("size", [(1, 1), (13, 21), (16, 32), (40, 33)])
def test_the_result_is_exactly_as_many_times_as_large(loaded, size):
    bands = list(enlarge(loaded, picture_of(*size), 2))
    assert np.concatenate(bands).shape == (2 * size[0], 2 * size[1], 3)
    assert all(len(band) <= loaded.size[0] for band in bands)


@pytest.mark.parametrize("mode", MODES)
def test_all_modes_draw_the_same_picture_again_for_the_same_seed(loaded, mode):
    picture, tiling = picture_of(9, 20), TilingConfig(mode=mode)  # more than one tile
    first = enlarge_at_once(loaded, picture, tiling=tiling, seed=3)
    assert np.array_equal(first, enlarge_at_once(loaded, picture, tiling=tiling, seed=3))
    assert not np.array_equal(first, enlarge_at_once(loaded, picture, tiling=tiling, seed=4))


def test_a_picture_of_one_tile_is_plain_sampling_with_the_coarse_levels_held(loaded):
    picture, size = picture_of(8, 16), loaded.size
    canvas = make_canvas(loaded, picture, 2)
    assert canvas.picture.size == size
    encoded = loaded.encode(canvas.picture.crop(0, 0, *size)[None])
    known = [True] * canvas.num_known + [False] * len(canvas.shapes)
    cells = tuple(
        torch.full_like(level[:, :1], fill_value=held, dtype=torch.bool)
        for level, held in zip(encoded, known, strict=True)
    )
    shapes = loaded.autoencoder.level_shapes(*size)
    coarse = noise_from_seeds([6], shapes[: canvas.num_known])
    noise = (*coarse, *noise_from_seeds([6], canvas.shapes))
    [expected] = loaded.draw(
        [6], size, SamplingInputs(known=KnownLatents(encoded, cells), noise=noise)
    )
    found = enlarge_at_once(loaded, picture, seed=6, strength=1.0).astype(int)
    assert np.abs(found - expected).max() <= 1  # the levels on their path are rounded differently


@pytest.mark.parametrize("which", ["loaded", "ldm", "super_resolution"])
def test_a_run_that_was_stopped_goes_on_with_equal_pixels(which, request, tmp_path):
    models = request.getfixturevalue(which)
    models = replace(models, config=replace(models.config, steps=6, eta=1.0))
    [factor, *_] = enlarging_factors(models)
    settings = {"factor": factor, "seed": 2, "tiling": TilingConfig(tiles_at_once=1)}
    picture = picture_of(7, 14 if which == "super_resolution" else 40)
    expected = enlarge_at_once(models, picture, **settings)

    def stop_at(share):
        def report(done, total):
            if done > share * total:
                raise KeyboardInterrupt

        return report

    saved = {"state": tmp_path, "save_seconds": 0.0}
    for share in (0.4, 0.7):
        with pytest.raises(KeyboardInterrupt):
            enlarge_at_once(models, picture, **settings, **saved, on_progress=stop_at(share))
    calls = []
    found = enlarge_at_once(
        *(models, picture), **settings, **saved, on_progress=lambda *counts: calls.append(counts)
    )
    assert np.array_equal(found, expected)
    assert calls[-1][0] == calls[-1][1]
    assert calls[0][0] > 0.4 * calls[0][1]  # went on, and did not begin anew


def test_a_state_of_another_picture_is_not_used(loaded, tmp_path):
    one, other = picture_of(16, 40), picture_of(16, 40)[::-1]
    enlarge_at_once(loaded, one, state=tmp_path, save_seconds=0.0)
    assert np.array_equal(
        enlarge_at_once(loaded, other, state=tmp_path), enlarge_at_once(loaded, other)
    )


def test_progress_ends_at_the_number_of_tiles(loaded):
    counts: list[tuple[int, int]] = []
    enlarge_at_once(loaded, picture_of(20, 50), on_progress=lambda *both: counts.append(both))
    done = [count for count, _ in counts]
    assert done == sorted(done)
    assert len({total for _, total in counts}) == 1
    assert counts[-1][0] == counts[-1][1]


def test_coarse_levels_keep_the_composition_whatever_is_drawn(loaded):
    """What the seeds change is the finest level alone."""
    picture = picture_of(24, 48)
    pictures = [enlarge_at_once(loaded, picture, seed=seed).astype(float) for seed in range(3)]
    canvas = make_canvas(loaded, picture, 2)
    for seed in range(3):
        noise = noise_from_seeds([seed], canvas.shapes)
        [*bands] = decode_bands(canvas, noise, 4)
        pictures.append(np.concatenate(bands).astype(float))
    spread = np.std(pictures, axis=0).mean()
    assert spread < np.std(picture)


@pytest.mark.parametrize("sampler", ["euler", "heun", "multistep"])
def test_every_sampler_of_fixed_steps_works(loaded, sampler):
    models = replace(loaded, config=replace(SAMPLE, sampler=sampler, steps=4))
    assert enlarge_at_once(models, picture_of(9, 20)).shape == (18, 40, 3)


@pytest.mark.parametrize("which", ["loaded", "ldm"])
def test_without_strength_nothing_is_drawn(which, request):
    models, picture = request.getfixturevalue(which), picture_of(16, 40)
    pictures = [enlarge_at_once(models, picture, strength=0.0, seed=seed) for seed in (1, 2)]
    assert np.array_equal(*pictures)


def test_with_all_strength_one_tile_of_a_single_latent_is_plain_sampling(ldm):
    models = replace(ldm, config=replace(ldm.config, eta=1.0))
    height, width = models.size
    [expected] = models.draw([3], models.size)
    picture = picture_of(height // 2, width // 2)
    assert np.array_equal(enlarge_at_once(models, picture, strength=1.0, seed=3), expected)


def test_less_strength_is_nearer_to_the_bicubic_enlargement(ldm):
    picture = picture_of(30, 50)
    large = np.asarray(Image.fromarray(picture).resize((100, 60), Image.Resampling.BICUBIC))
    errors = [
        np.abs(enlarge_at_once(ldm, picture, strength=strength).astype(float) - large).mean()
        for strength in (0.05, 0.95)
    ]
    assert errors[0] < errors[1]


def test_parts_of_an_enlarged_picture_equal_those_of_the_whole():
    small = np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8)
    for factor in (2, 4):
        large = Image.fromarray(small).resize((31 * factor, 23 * factor), Image.Resampling.BICUBIC)
        lazy = EnlargedImage(small, factor, (23 * factor, 31 * factor))
        for top, left, height, width in [(0, 0, 9, 9), (12, 7, 20, 30), (40, 50, 6, 12)]:
            expected = np.asarray(large)[top : top + height, left : left + width]
            assert np.array_equal(lazy.crop(top, left, height, width), expected)


def test_beyond_the_edges_lies_the_mirror_image():
    small = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    lazy = EnlargedImage(small, 2, (50, 40))
    image = lazy.crop(0, 0, 50, 40)
    assert image.shape == (50, 40, 3)
    assert np.array_equal(image[12:20], image[4:12][::-1])
    assert np.array_equal(image[:, 10:16], image[:, 4:10][:, ::-1])


def test_models_that_cannot_enlarge_are_refused_before_any_work(loaded, super_resolution):
    picture = picture_of(8, 8)
    with pytest.raises(BadInput, match="factor is 3, but the model enlarges by 2"):
        enlarge(loaded, picture, 3)
    with pytest.raises(BadInput, match="factor is 2, but the model enlarges by 4"):
        enlarge(super_resolution, picture, 2)
    with pytest.raises(BadInput, match="sampler is adaptive"):
        enlarge(replace(loaded, config=replace(SAMPLE, sampler="adaptive")), picture, 2)
    with pytest.raises(BadInput, match=r"strength is 1.5; give a number"):
        enlarge(loaded, picture, 2, strength=1.5)
    task = SemanticTask(kind="semantic")
    with pytest.raises(BadInput, match="cannot enlarge an image"):
        enlarge(replace(loaded, task=task), picture, 2)


def test_the_same_words_in_another_order_are_another_enlargement(loaded):
    def key_of(*tokens: int) -> str:
        shown = GuidedCondition(Condition(tokens=torch.tensor([tokens])))
        canvas = make_canvas(loaded, picture_of(13, 21), 2)
        return Job(canvas, TilingConfig(), 0, 1.0, shown, None).key()

    assert key_of(5, 7, 9) == key_of(5, 7, 9)
    assert len({key_of(5, 7, 9), key_of(9, 7, 5), key_of(6, 6, 9)}) == 3
