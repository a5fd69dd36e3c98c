"""Inpainting from the shards to a user's picture, at a tiny size."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import DIFFUSION, LATENTS, SAMPLE, Chain

from pdm import cli
from pdm.config.task import InpaintingTask
from pdm.data import provenance
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, Preempted
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.read import read_image, read_mask
from pdm.inference.sample import sample_images
from pdm.lineage.trace import Places, trace
from pdm.model_record import record_of
from pdm.presets import DEFAULT
from pdm.tasks.find import check_task
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers

TASK = InpaintingTask(
    kind="inpainting", mask_shapes=("rectangle", "brush"), min_share=0.1, max_share=0.5
)
CONFIG = replace(DIFFUSION, task=TASK, condition_dropout=0.25, score_images=2)


@dataclass(frozen=True)
class Trained:
    folder: Path  # with models/autoencoder, models/diffusion
    latents: Path
    shards: Path

    @property
    def models(self) -> Path:
        return self.folder / "models"


def train(folder: Path, name: str, latents: Path, autoencoder: Path) -> Path:
    settings = diffusion.Settings(
        CONFIG, ReferenceDistance, latents, folder / f"{name}-run", folder / name, autoencoder
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    return settings.model


@pytest.fixture(scope="module")
def trained(chain, tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("inpainting")
    config = replace(LATENTS, keep_pictures=True)
    encode_shards(
        config, shards=chain.shards, autoencoder=chain.autoencoder, latents=folder / "latents"
    )
    train(folder, "models/diffusion", folder / "latents", chain.autoencoder)
    (folder / "models/autoencoder").symlink_to(chain.autoencoder)
    return Trained(folder, folder / "latents", chain.shards)


@pytest.fixture
def photo(tmp_path) -> Path:
    """Larger than what the model learned from, with odd sides."""
    pixels = np.random.default_rng(3).integers(0, 256, (13, 21, 3), np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).resize((53, 37), Image.Resampling.BICUBIC).save(path)
    return path


def mask_file(path: Path, size=(53, 37), box=(20, 10, 33, 22), mode="L") -> Path:
    image = Image.new("L", size, 0)
    image.paste(255, box)
    image.convert(mode).save(path)
    return path


def inpaint(capsys, photo: Path, mask: Path, models: Path, *words, code=0) -> str:
    arguments = ["inpaint", photo, "--mask", mask, "--models", models, "--steps", 3, *words]
    assert cli.main([*map(str, arguments), "--params", str(DEFAULT)]) == code
    written = capsys.readouterr()
    return written.err if code else written.out


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_latents_keep_the_pictures_that_were_encoded(trained, chain):
    latents = LatentShards(trained.latents, "train")
    assert latents.has_pictures
    first, mirrored = (
        latents.keys.index("0" * 19 + "1"),
        latents.keys.index("0" * 19 + "1-mirrored"),
    )
    picture = latents.picture(first)
    assert picture.shape == (16, 32, 3)
    assert (latents.picture(mirrored) == picture[:, ::-1]).all()
    plain = LatentShards(chain.latents, "train")
    assert not plain.has_pictures
    for one, other in zip(latents.batch([0, 5, 9]), plain.batch([0, 5, 9]), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(BadInput, match=r"keep_pictures: true, and run the stage 'latents'"):
        check_task(CONFIG, plain)


def test_a_model_says_what_it_was_trained_for(trained):
    record = record_of(trained.models / "diffusion")
    assert record["task"]["mask_shapes"] == ["rectangle", "brush"]
    assert record["config"]["condition"]["level_channels"] == [11, 4]


def test_a_stopped_and_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(
    trained, chain, one_thread
):
    unbroken = train(trained.folder, "unbroken", trained.latents, chain.autoencoder)
    stop = trained.folder / "broken-run" / "stop"
    stop.parent.mkdir()
    stop.touch()
    with pytest.raises(Preempted):
        train(trained.folder, "broken", trained.latents, chain.autoencoder)
    stop.unlink()
    broken = train(trained.folder, "broken", trained.latents, chain.autoencoder)
    assert sha256_of(broken / "model.safetensors") == sha256_of(unbroken / "model.safetensors")


def test_the_stage_sample_fills_held_out_pictures_in_and_says_which(trained, tmp_path):
    samples = tmp_path / "samples"
    sample_images(
        replace(SAMPLE, full_size_picture=False),
        autoencoder=trained.models / "autoencoder",
        diffusion=trained.models / "diffusion",
        shards=trained.shards,
        samples=samples,
    )
    rows = json.loads((samples / "samples.json").read_text())["samples"]
    latents = LatentShards(trained.latents, "val")
    for row in rows:
        original = latents.picture(latents.keys.index(row["held_out"])).astype(int)
        same = (pixels_of(samples / row["file"]) == original).all(axis=-1).mean()
        assert 0.5 <= same < 0.95  # known pixels are those of the picture; the others are drawn
    places = Places(*(tmp_path / name for name in ("none", "samples", "runs", "decisions")))
    assert trace(samples / "000000.png", places).drawn["held_out"] == rows[0]["held_out"]


@pytest.mark.parametrize("kind", ["trained", "unconditional"])
def test_all_other_pixels_of_a_users_picture_stay_to_the_bit(
    kind, trained, chain: Chain, photo, tmp_path, capsys
):
    models = trained.models
    if kind == "unconditional":
        models = tmp_path / "models"
        models.mkdir()
        (models / "autoencoder").symlink_to(chain.autoencoder)
        (models / "diffusion").symlink_to(chain.diffusion)
    mask = mask_file(tmp_path / "mask.png")
    hole = pixels_of(mask)[..., 0] > 0
    current, before = photo, pixels_of(photo)
    for seed in range(3):  # one after the other
        output = tmp_path / f"edit-{seed}.png"
        inpaint(capsys, current, mask, models, "--seed", seed, "--output", output)
        current = output
    after = pixels_of(current)
    assert (after[~hole] == before[~hole]).all()
    assert (after[hole] != before[hole]).any(axis=-1).mean() > 0.5
    mark, _ = provenance.read(current)
    assert mark["command"] == "inpaint"
    assert mark["mask_sha256"] == sha256_of(mask)


def test_seeds_give_different_fillings_and_the_same_one_again(trained, photo, tmp_path, capsys):
    mask = mask_file(tmp_path / "mask.png")
    said = inpaint(capsys, photo, mask, trained.models, "--num", 2, "--seed", 4).splitlines()
    one, other = (Path(line.split("  ")[0]) for line in said)
    assert (one.name, other.name) == ("photo-inpainted-4.png", "photo-inpainted-5.png")
    assert (pixels_of(one) != pixels_of(other)).any()
    again = tmp_path / "again.png"
    inpaint(capsys, photo, mask, trained.models, "--seed", 5, "--output", again)
    assert (pixels_of(again) == pixels_of(other)).all()


def test_a_picture_by_another_mask_replaces_none_of_the_same_name(trained, photo, tmp_path, capsys):
    masks = mask_file(tmp_path / "one.png"), mask_file(tmp_path / "two.png", box=(0, 0, 9, 9))
    said = [inpaint(capsys, photo, mask, trained.models).strip() for mask in (*masks, masks[0])]
    names = [Path(line).name for line in said]
    first = "photo-inpainted-0.png"
    assert names == [first, "photo-inpainted-0-2.png", first]  # the last is the first again
    before = pixels_of(photo)
    for path, (left, top) in zip(said[:2], ((20, 10), (0, 0)), strict=True):
        changed = np.argwhere((pixels_of(Path(path)) != before).any(axis=-1))
        assert (changed.min(axis=0) >= (top, left)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (54, 37)}, r"mask.png is 54x37, but .*photo.png is 53x37"),
        ({"box": (0, 0, 0, 0)}, r"no white part.*128 or more of 255"),
        ({"mode": "I;16"}, "has the mode I;16; save it with 8 bits"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_one_line(
    change, message, trained, photo, tmp_path, capsys
):
    mask = mask_file(tmp_path / "mask.png", **change)
    said = inpaint(capsys, photo, mask, trained.models, code=2)
    assert len(said.splitlines()) == 1
    assert re.search(message, said)


def test_a_damaged_avif_is_no_mask_and_no_picture(photo, tmp_path):
    damaged = tmp_path / "mask.avif"
    Image.new("L", (53, 37), 255).save(damaged)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-20] + bytes(20))
    said = r"mask\.avif is not an image that can be read"
    with pytest.raises(BadInput, match=said):
        read_mask(damaged, read_image(photo), photo)
    with pytest.raises(BadInput, match=said):
        provenance.read(damaged)


def test_colours_transparency_and_missing_files_are_refused(trained, photo, tmp_path, capsys):
    coloured = tmp_path / "coloured.png"
    Image.new("RGB", (53, 37), (255, 0, 0)).save(coloured)
    assert "has colours" in inpaint(capsys, photo, coloured, trained.models, code=2)
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (53, 37), (255, 255, 255, 0)).save(clear)
    assert "transparent parts" in inpaint(capsys, photo, clear, trained.models, code=2)
    none = tmp_path / "none.png"
    assert f"{none} does not exist" in inpaint(capsys, photo, none, trained.models, code=2)
    mask = mask_file(tmp_path / "mask.png")
    assert "lacks a trained model" in inpaint(capsys, photo, mask, tmp_path / "empty", code=2)
    same = inpaint(capsys, photo, mask, trained.models, "--output", photo, code=2)
    assert f"{photo} would replace {photo}; name another file with --output" in same


@pytest.mark.parametrize("words", [["--output", "mask.png"], ["--output", "m.png", "--num", 3]])
def test_no_output_replaces_the_picture_or_the_mask(words, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo, mask = photo.rename("m-1.png"), mask_file(Path("mask.png"))
    before = photo.read_bytes(), mask.read_bytes()
    # Before any model is read: there is none.
    said = inpaint(capsys, photo, mask, tmp_path / "none", *words, code=2)
    assert f"would replace {'m-1.png' if '--num' in words else 'mask.png'}" in said
    assert (photo.read_bytes(), mask.read_bytes()) == before
