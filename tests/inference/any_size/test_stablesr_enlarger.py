"""StableSR with small random weights, as the base of tiled sampling."""

import json
import logging
import re
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch
from enlarging import picture_of
from PIL import Image
from shared.folders import make_once
from shared.published_stablesr import (
    FIRST_STAGE_CONFIG,
    HEAD_WIDTH,
    published_weights,
    randomise,
    save_as_lightning,
)
from test_other_enlarger import folder_of
from tiny_chain import SAMPLE

from pdm import cli
from pdm.baselines.stablesr.denoiser import BETAS
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.importing import Published, import_stablesr
from pdm.config.networks.stablesr import FusingFirstStageConfig
from pdm.config.sampling.tiling import TilingConfig
from pdm.data import provenance
from pdm.data.image_tensors import to_images, to_pixels
from pdm.diffusion.samplers import noise_from_seeds
from pdm.errors import BadInput
from pdm.inference.any_size.tiled.canvas import make_canvas
from pdm.inference.any_size.tiled.decode import decode_bands
from pdm.inference.any_size.tiled.encode import encode_maps
from pdm.inference.any_size.tiled.enlarge import count_tiles, enlarge
from pdm.inference.own_settings import with_own_settings
from pdm.inference.pictures.loaded_models import load_models
from pdm.model_record import record_of
from pdm.models.noise_schedule import cumulative_alphas
from pdm.presets import DEFAULT

TILE, STEPS = 128, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    def make(base):
        save_as_lightning(published_weights(), base / "stablesr.ckpt")
        settings = Published(
            files=[base / "stablesr.ckpt"], head_width=HEAD_WIDTH, size_px=TILE, steps=STEPS
        )
        import_stablesr(settings, base / "models")

    return make_once(tmp_path_factory, "stablesr", make) / "models"


@pytest.fixture(scope="module")
def models(folder):
    return load_models(folder, with_own_settings(SAMPLE, record_of(folder / "diffusion")))


@pytest.fixture
def network_calls(models):
    """Arguments and keyword arguments of every call of the network."""
    calls = []

    def note(module, inputs, keywords):
        calls.append((inputs, keywords))

    handle = models.networks.network.register_forward_pre_hook(note, with_kwargs=True)
    yield calls
    handle.remove()


def enlarge_at_once(models, picture, factor, **settings) -> np.ndarray:
    return np.concatenate(list(enlarge(models, picture, factor, **settings)))


@pytest.mark.parametrize(
    ("side", "tiles"), [(64, 4), pytest.param(128, 16, marks=pytest.mark.slow)]
)
def test_each_step_calls_the_network_once_for_each_tile_of_a_grid(
    side, tiles, models, network_calls, one_thread
):
    """As at 1024 and 2048 pixels with tiles of 512, without overlap."""
    picture = picture_of(side, side)
    large = enlarge_at_once(models, picture, 4)
    assert large.shape == (4 * side, 4 * side, 3)
    assert sum(len(inputs[0][0]) for inputs, _ in network_calls) == STEPS * tiles
    # in explicit overlap by half, 9 and 49
    mixture = TilingConfig(mode="mixture")
    decoded = count_tiles(models, (side, side), 4, TilingConfig(), 0) - STEPS * tiles
    assert (
        count_tiles(models, (side, side), 4, mixture, 0)
        == STEPS * (2 * side // 32 - 1) ** 2 + decoded
    )


def test_sampling_begins_at_the_enlarged_picture_under_the_noise_of_the_last_step(
    models, network_calls
):
    picture = picture_of(32, 32)
    enlarge_at_once(models, picture, 4, seed=5)
    (pyramid, t), keywords = network_calls[0]
    canvas = make_canvas(models, picture, 4)
    [latent], [noise] = encode_maps(canvas, 1), noise_from_seeds([5], canvas.shapes)
    abar = cumulative_alphas(*BETAS)[999]
    scale = (t**2 + (1 - t) ** 2).sqrt()
    expected = (abar**0.5 * latent + (1 - abar) ** 0.5 * noise).float()
    torch.testing.assert_close(pyramid[0] / scale, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(keywords["condition"].levels[0], latent)


def test_tiles_are_cut_out_of_one_encoding_of_the_picture(models, network_calls):
    picture = picture_of(40, 40)
    enlarge_at_once(models, picture, 4)
    [latent] = encode_maps(make_canvas(models, picture, 4), models.config.batch_size)
    seen = torch.cat([keywords["condition"].levels[0] for _, keywords in network_calls[:4]])
    corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
    expected = torch.cat([latent[:, :, top : top + 16, left : left + 16] for top, left in corners])
    torch.testing.assert_close(seen[:4], expected, rtol=0, atol=1e-5)


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(
    models, tmp_path, network_calls, one_thread
):
    picture, settings = picture_of(48, 48), {"seed": 3, "save_seconds": 0.0}
    unbroken = enlarge_at_once(models, picture, 4, **settings)
    whole = len(network_calls)

    def stop(done, total):
        if done > 2 * 4:  # tiles of the third step
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enlarge_at_once(models, picture, 4, state=tmp_path, on_progress=stop, **settings)
    network_calls.clear()
    resumed = enlarge_at_once(models, picture, 4, state=tmp_path, **settings)
    assert 0 < len(network_calls) < whole
    assert np.array_equal(resumed, unbroken)


@pytest.mark.parametrize("factor", [2, 4])
def test_it_enlarges_pictures_of_any_size_by_two_and_four(factor, models):
    large = enlarge_at_once(models, picture_of(13, 29), factor)
    assert large.shape == (factor * 13, factor * 29, 3)


@torch.no_grad()
def test_a_wrapped_decoder_reads_the_enlarged_picture(models):
    config = FusingFirstStageConfig(**asdict(FIRST_STAGE_CONFIG), fusion_weight=0.5)
    wrapped = replace(models, autoencoder=randomise(FusingFirstStage(config)))
    canvas, latent = make_canvas(wrapped, picture_of(32, 32), 4), torch.randn(1, 4, 16, 16)
    enlarged = to_images(canvas.picture.crop(0, 0, TILE, TILE)[None], torch.device("cpu"))
    expected = to_pixels(wrapped.autoencoder.decode_beside((latent,), enlarged))[0]
    found = np.concatenate(list(decode_bands(canvas, (latent,), 1)))
    assert np.array_equal(found, expected)
    assert not np.array_equal(expected, to_pixels(wrapped.autoencoder.decode((latent,)))[0])


# commands


@pytest.fixture
def run(tmp_path, one_thread, capsys):
    def call(*words, code=0) -> str:
        assert cli.main([*map(str, words)]) == code
        return capsys.readouterr().err

    return call


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(picture_of(40, 50)).save(path)
    return path


@pytest.mark.parametrize("colour", ["wavelet", "adain"])
def test_upscale_keeps_the_colours_and_says_how_it_was_sampled(
    colour, run, photo, folder, tmp_path, caplog
):
    output = tmp_path / "large.png"
    options = ["--models", folder, "--colour", colour, "--output", output]
    with caplog.at_level(logging.INFO):
        run("upscale", photo, "--size", "200x150", *options)
    assert "take 50x40, cut to 50x38, enlarge 4 times, cut to 200x150" in caplog.text
    assert re.search(r"(\d+) of \1 tiles", caplog.text)
    with Image.open(output) as large, Image.open(photo) as small:
        assert large.size == (200, 150)
        means = [np.asarray(each).mean((0, 1)) for each in (large, small)]
    assert np.abs(means[0] - means[1]).max() < 8  # random weights draw anything
    mark, _ = provenance.read(output)
    assert (mark["sampler"], mark["steps"], mark["eta"]) == ("ddim", STEPS, 1.0)


def test_it_enlarges_what_another_model_composes_by_its_own_steps(run, folder, chain, tmp_path):
    composing = folder_of(chain, tmp_path / "models")
    params = tmp_path / "params.yaml"
    params.write_text(DEFAULT.read_text().replace("guidance_scale: 2.5", "guidance_scale: 1.0"))
    output = tmp_path / "out"
    options = ["--models", composing, "--params", params, "--steps", 2, "--output", output]
    run("draw", "--size", "144x128", "--enlarger", folder, *options)
    [path] = output.iterdir()
    mark, _ = provenance.read(path)
    assert mark["steps"] == 2
    assert json.loads(mark["enlarger_sampling"])["steps"] == STEPS
    assert mark["enlarger"]["path"] == str(folder)


def test_folders_and_commands_that_do_not_fit_are_refused_in_one_line(run, photo, folder, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/stablesr_000117.ckpt").touch()
    upscale = partial(run, "upscale", photo, code=2)
    error = upscale("--size", "200x150", "--models", tmp_path / "weights")
    assert "diffusion/model.safetensors" in error
    assert "pyramid import stablesr" in error
    assert "enlarges to a size, not by a factor" in upscale("--factor", 4, "--models", folder)
    error = upscale("--size", "200x150", "--models", folder, "--steps", 2000)
    assert "--steps is 2000" in error
    error = run("draw", "--size", "200x150", "--models", folder, "--output", tmp_path, code=2)
    assert "cannot draw without an image" in error
    error = run("export", "diffusers", "--models", folder, "--output", tmp_path / "out", code=2)
    assert "enlarges in tiles" in error


def test_settings_that_this_version_does_not_know_are_refused(folder):
    record = record_of(folder / "diffusion")
    for change in ({"sampler": "adaptive"}, {"steps": 0}, {"tempo": 1}):
        changed = replace_sampling(record, change)
        with pytest.raises(BadInput, match="sampling"):
            with_own_settings(replace(SAMPLE), changed)


def replace_sampling(record, change) -> dict:
    return {**record, "sampling": record["sampling"] | change}
