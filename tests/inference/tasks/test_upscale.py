"""Super-resolution from the shards to a user's picture, at a tiny size."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import DIFFUSION, LATENTS, SAMPLE

from pdm import cli
from pdm.config.task import SuperResolutionTask
from pdm.data import provenance
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.loaded_models import LoadedModels, load_models
from pdm.inference.pictures.upscale import _match_means, upscale
from pdm.inference.sample import sample_images
from pdm.presets import DEFAULT
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers

TASK = SuperResolutionTask(kind="super_resolution", factor=4, degradation="bsr_light")
CONFIG = replace(DIFFUSION, task=TASK, condition_dropout=0.0, score_images=2)


@pytest.fixture(scope="module")
def models(chain, tmp_path_factory) -> Path:
    """Trained on 32x16 pixels."""
    folder = tmp_path_factory.mktemp("upscale")
    config = replace(LATENTS, keep_pictures=True)
    latents = folder / "latents"
    encode_shards(config, shards=chain.shards, autoencoder=chain.autoencoder, latents=latents)
    settings = diffusion.Settings(
        CONFIG,
        ReferenceDistance,
        latents,
        folder / "run",
        folder / "models/diffusion",
        chain.autoencoder,
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    (folder / "models/autoencoder").symlink_to(chain.autoencoder)
    return folder / "models"


@pytest.fixture(scope="module")
def loaded(models) -> LoadedModels:
    return load_models(models, replace(SAMPLE, batch_size=3))


def picture_of(height: int, width: int) -> np.ndarray:
    rough = np.random.default_rng(5).integers(30, 226, (5, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(1, 1), (3, 29), (4, 8), (13, 21)])
def test_any_size_comes_out_exactly_four_times_as_large_with_its_colours(size, loaded):
    picture = picture_of(*size)
    large = upscale(loaded, TASK, picture, seed=0)
    assert large.shape == (4 * size[0], 4 * size[1], 3)
    shift = large.mean((0, 1), dtype=float) - picture.mean((0, 1), dtype=float)
    assert np.abs(shift).max() <= 0.5


def test_colours_are_matched_in_place_with_the_memory_of_a_band():
    picture = picture_of(512, 512)
    large = np.asarray(Image.fromarray(picture).resize((2048, 2048)).point(lambda v: v * 0.9 + 7))
    large = large.copy()
    tracemalloc.start()
    _match_means(large, picture)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.25 * large.nbytes  # whole planes and a copy took more than it thrice
    shift = large.mean((0, 1), dtype=float) - picture.mean((0, 1), dtype=float)
    assert np.abs(shift).max() <= 0.05


def test_it_looks_like_the_picture_everywhere_and_has_no_seams(loaded):
    """A tile that were put elsewhere, or mirrored, would differ by far more."""
    picture = picture_of(16, 32)
    large = upscale(loaded, TASK, picture, seed=0).astype(float)
    smooth = np.asarray(Image.fromarray(picture).resize((128, 64), Image.Resampling.BICUBIC))
    assert np.abs(large - smooth).mean() < 20
    steps = np.abs(np.diff(large, axis=1)).mean(axis=(0, 2))
    assert steps.max() < 3 * np.median(steps) + 6


def test_tiles_report_their_progress_and_a_seed_gives_the_same_picture_again(loaded):
    said = []
    picture = picture_of(9, 20)
    large = upscale(loaded, TASK, picture, 3, lambda done, total: said.append((done, total)))
    assert said[-1][0] == said[-1][1] == len(range(said[-1][1]))
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert (upscale(loaded, TASK, picture, 3) == large).all()
    assert (upscale(loaded, TASK, picture, 4) != large).any()


def test_the_command_writes_a_marked_picture(models, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(picture_of(6, 9)).save(photo)
    words = ["upscale", photo, "--factor", 4, "--models", models, "--steps", 2, "--params", DEFAULT]
    assert cli.main([*map(str, words)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.name == "photo-x4-0.png"
    with Image.open(path) as large:
        assert large.size == (36, 24)
    mark, _ = provenance.read(path)
    assert (mark["command"], mark["seed"]) == ("upscale", 0)


def test_it_enlarges_what_another_model_composes(models, chain, tmp_path, caplog):
    composing = tmp_path / "models"
    composing.mkdir()
    (composing / "autoencoder").symlink_to(chain.autoencoder)
    (composing / "diffusion").symlink_to(chain.diffusion)
    params = tmp_path / "params.yaml"
    params.write_text(DEFAULT.read_text().replace("guidance_scale: 2.5", "guidance_scale: 1.0"))
    words = ["draw", "--size", "256x128", "--models", composing, "--enlarger", models]
    words += ["--steps", 2, "--params", params, "--output", tmp_path]
    caplog.set_level("INFO")
    assert cli.main([*map(str, words)]) == 0
    assert "compose 32x16, enlarge 4 times, reduce to 64x32, enlarge 4 times" in caplog.text
    path = tmp_path / "picture-256x128-0.png"
    with Image.open(path) as large:
        assert large.size == (256, 128)
        small = np.asarray(large.resize((32, 16), Image.Resampling.BOX), float)
    [own] = load_models(composing, replace(SAMPLE, steps=2)).draw([0], (16, 32))
    assert np.abs(small - own).mean() < 20
    digest = sha256_of(models / "diffusion/model.safetensors")
    assert provenance.read(path)[0]["enlarger"] == {"path": str(models), "sha256": digest}


def test_a_picture_is_enlarged_to_any_size_in_several_rounds(models, tmp_path, caplog):
    caplog.set_level("INFO")
    photo = tmp_path / "photo.png"
    Image.fromarray(picture_of(24, 32)).save(photo)
    words = ["upscale", photo, "--size", "180x128", "--models", models, "--params", DEFAULT]
    assert cli.main([*map(str, words), "--steps", "2", "--output", str(tmp_path / "a.tif")]) == 0
    with Image.open(tmp_path / "a.tif") as large:
        assert large.size == (180, 128)
    mark, _ = provenance.read(tmp_path / "a.tif")
    assert (mark["command"], mark["size"]) == ("upscale", [180, 128])
    assert "upscale: 180x128: take 32x24" in caplog.text
    assert "compos" not in caplog.text


def test_what_the_model_cannot_do_is_said_in_one_line(models, chain, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(picture_of(6, 9)).save(photo)

    def refusal(*words) -> str:
        arguments = [*words, "--steps", 2, "--params", DEFAULT]
        assert cli.main([*map(str, arguments)]) == 2
        said = capsys.readouterr().err.strip()
        assert len(said.splitlines()) == 1
        return said

    assert "enlarges 4 times" in refusal("upscale", photo, "--factor", 2, "--models", models)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "autoencoder").symlink_to(chain.autoencoder)
    (plain / "diffusion").symlink_to(chain.diffusion)
    assert "trained without a condition, not to enlarge; enlarge with --size" in refusal(
        "upscale", photo, "--models", plain
    )
    Image.new("L", (9, 6), 255).save(tmp_path / "mask.png")
    assert "cannot draw without an image" in refusal("draw", "--models", models)
    filling = refusal("inpaint", photo, "--mask", tmp_path / "mask.png", "--models", models)
    assert "trained for super_resolution, which cannot fill" in filling
    assert "is not an image" in refusal("upscale", DEFAULT, "--models", models)


def test_the_stage_sample_enlarges_held_out_pictures(models, chain, tmp_path):
    sample_images(
        replace(SAMPLE, full_size_picture=False, num_images=2),
        autoencoder=models / "autoencoder",
        diffusion=models / "diffusion",
        shards=chain.shards,
        samples=tmp_path / "samples",
    )
    rows = json.loads((tmp_path / "samples" / "samples.json").read_text())["samples"]
    assert all(row["held_out"] for row in rows)
