import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_chain import SAMPLE, train_autoencoder

from pdm import ema
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.sample import sample_pictures


def draw(chain, folder, **changes):
    sample_pictures(
        replace(SAMPLE, **changes),
        autoencoder=chain.autoencoder,
        diffusion=chain.diffusion,
        shards=chain.shards,
        samples=folder,
    )
    return folder


@pytest.fixture(scope="module")
def samples(chain, tmp_path_factory):
    return draw(chain, tmp_path_factory.mktemp("drawn") / "samples")


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_each_picture_has_a_seed_and_the_models_are_named(chain, samples):
    record = json.loads((samples / "samples.json").read_text())
    named = [(one["file"], one["seed"]) for one in record["samples"]]
    assert named == [(f"{i:06}.png", 7 + i) for i in range(5)]
    assert record["autoencoder_sha256"] == sha256_of(chain.autoencoder / "model.safetensors")
    assert record["diffusion_sha256"] == sha256_of(chain.diffusion / "model.safetensors")
    assert (record["sampler"], record["steps"]) == ("heun", 3)
    assert pixels(samples / "000004.png").shape == (16, 32, 3)


def test_the_same_seeds_give_the_same_bytes(chain, samples, tmp_path):
    again = draw(chain, tmp_path / "again")
    for path in sorted(samples.rglob("*.*")):
        assert path.read_bytes() == (again / path.relative_to(samples)).read_bytes(), path


@pytest.mark.parametrize("sampler", ["euler", "heun", "multistep", "adaptive"])
def test_a_picture_does_not_depend_on_its_batch(chain, tmp_path, sampler):
    first, other = (
        draw(
            chain,
            tmp_path / str(size),
            batch_size=size,
            sampler=sampler,
            num_images=3,
            full_size_picture=False,
        )
        for size in (2, 3)
    )
    for i in range(3):
        name = f"{i:06}.png"
        assert np.abs(pixels(first / name) - pixels(other / name)).max() <= 1
    assert not (other / "full-size").exists()


def test_a_picture_follows_from_its_seed_wherever_it_stands(chain, samples, tmp_path):
    other = draw(chain, tmp_path / "other", seed=9, num_images=1, full_size_picture=False)
    assert np.abs(pixels(other / "000000.png") - pixels(samples / "000002.png")).max() <= 1


def test_the_full_size_picture_is_a_held_out_one(samples):
    assert pixels(samples / "full-size" / "original.png").shape == (64, 128, 3)
    assert pixels(samples / "full-size" / "decoded.png").shape == (64, 128, 3)
    record = json.loads((samples / "samples.json").read_text())["full_size"]
    assert record["key"] == f"{5:020x}"


def test_the_contact_sheet_shows_all(samples):
    sheet = Image.open(samples / "contact-sheet.png")
    assert sheet.width > 2 * 256  # small pictures are enlarged


def test_another_autoencoder_is_refused(chain, tmp_path):
    _, other = train_autoencoder(tmp_path, chain.shards, seed=1)
    with pytest.raises(BadInput, match="not trained on latents of the autoencoder"):
        sample_pictures(
            SAMPLE,
            autoencoder=other,
            diffusion=chain.diffusion,
            shards=chain.shards,
            samples=tmp_path / "samples",
        )
    assert not (tmp_path / "samples").exists()


def test_another_length_of_the_average_draws_other_pictures_and_a_kept_one_is_itself(
    chain, tmp_path
):
    drawn = {}
    for length in (None, 0.1, 0.08):
        folder = tmp_path / str(length)
        draw(chain, folder, ema_length=length, full_size_picture=False)
        drawn[length] = (folder / "000000.png").read_bytes()
        assert json.loads((folder / "samples.json").read_text())["ema_length"] == length
    assert len(set(drawn.values())) == 3
    kept = sorted((chain.diffusion / "ema").glob("*-0.1.safetensors"))
    assert [file.name for file in kept] == [
        "000000016-0.1.safetensors",
        "000000032-0.1.safetensors",
    ]
    found = ema.load_ema(chain.diffusion, 0.1)
    for name, weight in load_file(kept[-1]).items():
        torch.testing.assert_close(found[name], weight.float(), atol=1e-5, rtol=1e-3)


def test_ddim_is_refused_where_levels_have_times_of_their_own(chain, tmp_path):
    with pytest.raises(BadInput, match="one time for all levels"):
        draw(chain, tmp_path / "samples", sampler="ddim")
