"""Enlarging with an unconditional model, which is guided to the small picture."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, SAMPLE, TRAINING

from pdm import cli
from pdm.data import provenance
from pdm.data.pixels import Pixels
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.listing import Listed
from pdm.diffusion.flow import interpolate, target
from pdm.diffusion.image_guide import ImageGuide
from pdm.diffusion.samplers import euler, heun, multistep
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.latent_sampling import SamplingInputs
from pdm.inference.pictures.guided import Guiding, factors_of, guide_to
from pdm.inference.pictures.loaded_models import LoadedModels, load_models
from pdm.inference.pictures.upscale import upscale
from pdm.presets import DEFAULT
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

SPLITS = {"train": range(64), "val": range(64, 68)}
TRAINED = replace(
    AUTOENCODER,
    equivariance_loss_weight=0.0,
    close_up=0.0,
    training=replace(
        TRAINING,
        batch_size=16,
        total_images=1600,
        log_every_images=800,
        save_every_images=1600,
        learning_rate=4e-3,
        ema_half_life_images=160,
    ),
)


def smooth_picture(seed: int, width: int, height: int) -> Image.Image:
    rough = np.random.default_rng(seed).integers(40, 216, (2, 3, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)


def sample_of(seed: int) -> tuple[str, dict[str, bytes]]:
    file, key = io.BytesIO(), f"{seed:020x}"
    smooth_picture(seed, 128, 64).save(file, "PNG")
    return key, {"png": file.getvalue(), "json": json.dumps({"key": key}).encode()}


def write_shards(folder: Path) -> Path:
    folder.mkdir()
    splits = {}
    for split, seeds in SPLITS.items():
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, map(sample_of, seeds))
        splits[split] = [manifest.Shard.of(path, len(seeds))]
    pictures = (Listed(f"{n:020x}", f"{n:064x}", split) for split, ns in SPLITS.items() for n in ns)
    listing.write(folder, pictures)
    manifest.Manifest(splits, {"width_px": 128, "height_px": 64}).save(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """An unconditional model of 32x16 pixels; the autoencoder has learned to reproduce them."""
    folder = tmp_path_factory.mktemp("guided")
    shards, latents = write_shards(folder / "shards"), folder / "latents"
    first_stage = folder / "autoencoder"
    cpu = Workers(torch.device("cpu"))
    autoencoder.train_on_worker(
        autoencoder.Settings(TRAINED, shards, folder / "first", first_stage), cpu
    )
    encode_shards(LATENTS, shards=shards, autoencoder=first_stage, latents=latents)
    settings = diffusion.Settings(
        replace(DIFFUSION, model=replace(DIFFUSION.model, windows=None), score_images=0),
        ReferenceDistance,
        latents,
        folder / "run",
        folder / "diffusion",
        first_stage,
    )
    diffusion.train_on_worker(settings, cpu)
    return folder


@pytest.fixture(scope="module")
def loaded(models) -> LoadedModels:
    return load_models(models, replace(SAMPLE, sampler="multistep", steps=20))


def small_pictures(count: int) -> list[np.ndarray]:
    """Pictures of 8x4 pixels that no model has seen."""
    return [np.asarray(smooth_picture(1000 + number, 8, 4)) for number in range(count)]


def distance(drawn: list[np.ndarray], small: list[np.ndarray]) -> np.ndarray:
    """Root mean square of each picture's difference from its small one, when it is reduced."""
    means = np.stack(drawn).reshape(len(drawn), 4, 4, 8, 4, 3).mean((2, 4))
    return np.sqrt(np.square(means - np.stack(small)).mean((1, 2, 3)))


def guided_to(loaded: LoadedModels, small: list[Pixels], guiding: Guiding) -> SamplingInputs:
    return SamplingInputs(guide=guide_to(loaded, small, guiding))


def test_a_guided_picture_is_nearer_to_the_small_one_the_stronger_it_is_guided(loaded):
    small, seeds = small_pictures(3), [0, 1, 2]
    found = [
        distance(
            loaded.draw(seeds, loaded.size, guided_to(loaded, small, Guiding(4, strength))), small
        )
        for strength in (0.0, 0.3, 1.0)
    ]
    free = distance(loaded.draw(seeds, loaded.size), small)
    assert (found[0] == free).all()
    assert (found[1] < 0.8 * free).all()
    assert (found[2] < 0.7 * found[1]).all()
    assert found[2].mean() < 0.5 * found[1].mean()


@pytest.mark.parametrize("sampler", ["multistep", "adaptive", "ddim"])
def test_a_guided_picture_does_not_depend_on_its_batch(sampler, models):
    loaded = load_models(models, replace(SAMPLE, sampler=sampler, steps=4))
    small = small_pictures(3)
    guiding = Guiding(4, 1.0)
    together = loaded.draw([4, 5, 6], loaded.size, guided_to(loaded, small, guiding))
    [alone] = loaded.draw([5], loaded.size, guided_to(loaded, small[1:2], guiding))
    # Rounding differs with the batch, and an adaptive sampler may then choose other steps.
    assert np.abs(together[1].astype(int) - alone).mean() < 3
    assert np.abs(together[1].astype(int) - together[0]).mean() > 15


@pytest.mark.parametrize("sampler", [euler, heun, multistep])
def test_with_full_strength_every_sampler_ends_at_what_is_known(sampler):
    data, noise = ((torch.randn(2, 3, 1, 1), torch.randn(2, 2, 4, 4)) for _ in range(2))
    known = (torch.randn(2, 3, 1, 1), torch.randn(2, 2, 4, 4))

    def correct(predicted, rows):
        return tuple(wanted - level for wanted, level in zip(known, predicted, strict=True))

    def velocity(pyramid, t):
        return target(data, noise)

    guided = ImageGuide(correct, 1.0).push(velocity, range(2))
    found = sampler(guided, noise, torch.linspace(0, 1, 6))
    for level, wanted in zip(found, known, strict=True):
        torch.testing.assert_close(level, wanted, atol=1e-3, rtol=1e-3)
    t = torch.full((2,), 0.5)
    half = ImageGuide(correct, 0.5).push(velocity, range(2))(interpolate(data, noise, t), t)
    for level, start, true, wanted in zip(half, noise, data, known, strict=True):
        torch.testing.assert_close(level, true - start + (wanted - true))


@pytest.mark.parametrize("size", [(3, 5), (9, 20)])
def test_any_size_comes_out_as_large_as_asked_with_its_colours(size, loaded):
    rough = np.random.default_rng(5).integers(30, 226, (5, 7, 3), np.uint8)
    picture = np.asarray(Image.fromarray(rough).resize(size[::-1], Image.Resampling.BICUBIC))
    large = upscale(loaded, Guiding(2, 1.0), picture, seed=0)
    assert large.shape == (2 * size[0], 2 * size[1], 3)
    shift = large.mean((0, 1), dtype=float) - picture.mean((0, 1), dtype=float)
    assert np.abs(shift).max() <= 0.5


def test_the_factors_divide_the_picture_and_its_cells(loaded):
    assert factors_of(loaded) == [2, 4, 8]  # 32x16 pixels, cells of 8


def test_the_command_writes_the_strength_into_the_provenance(models, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(small_pictures(1)[0]).save(photo)
    (tmp_path / "params.yaml").write_text(DEFAULT.read_text().replace("scale: 2.5", "scale: 1.0"))
    words = ["upscale", photo, "--guide-strength", 0.5, "--models", models, "--steps", 3]
    assert cli.main([*map(str, words), "--params", str(tmp_path / "params.yaml")]) == 0
    mark, _ = provenance.read(Path(capsys.readouterr().out.strip()))
    assert (mark["guide_strength"], mark["command"]) == (0.5, "upscale")
    with Image.open(tmp_path / "photo-x4-0.png") as large:
        assert large.size == (32, 16)
    bad = ["upscale", photo, "--factor", 3, "--guide-strength", 1, "--models", models]
    assert cli.main([*map(str, bad), "--params", str(tmp_path / "params.yaml")]) == 2
    assert (
        "--factor is 3, but this model can be guided by the factors 2, 4, 8"
        in capsys.readouterr().err
    )
