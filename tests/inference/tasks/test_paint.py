"""Semantic synthesis from shards with maps to a picture from a user's map, at a tiny size."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_shards import NAMES, map_of, write_map_shards
from PIL import Image
from task_training import train_task
from tiny_chain import DIFFUSION, SAMPLE

from pdm import cli
from pdm.config.stages.sample import GuideConfig
from pdm.config.task import SemanticTask
from pdm.data import provenance
from pdm.data.annotations.maps import UNKNOWN
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.inference.sample import sample_images
from pdm.model_record import record_of
from pdm.presets import DEFAULT
from pdm.tasks.find import check_task
from pdm.tasks.semantic import map_condition

CONFIG = replace(DIFFUSION, task=SemanticTask(kind="semantic"), score_images=2)


@pytest.fixture(scope="module")
def trained(chain, tmp_path_factory) -> Path:
    """A folder with shards, latents and models."""
    folder = tmp_path_factory.mktemp("paint")
    write_map_shards(folder / "shards")
    return train_task(CONFIG, chain.autoencoder, folder)


def test_latents_have_the_maps_at_their_size_and_mirror_them(trained):
    latents = LatentShards(trained / "latents", "train")
    for number in range(5):
        expected = map_of(number)[2::4, 2::4]
        assert (latents.class_map(number) == expected).all()
        assert (latents.class_map(number + 5) == expected[:, ::-1]).all()
    record = record_of(trained / "models" / "diffusion")
    assert record["map_classes"] == NAMES
    assert record["config"]["condition"]["map_channels"] == 3


def test_an_unknown_part_has_no_class_and_a_cell_has_the_share_of_each():
    indices = np.zeros((8, 8), np.uint8)
    indices[:, 2:] = 2
    indices[4:] = UNKNOWN
    found = map_condition([indices], 3).map
    assert found.shape == (1, 3, 2, 2)
    assert found[0, :, 0, 0].tolist() == [0.5, 0, 0.5]
    assert not found[0, :, 1].any()


def paint(capsys, path: Path, models: Path, *words, code=0) -> str:
    arguments = ["paint", path, "--models", models, "--steps", 2, "--params", DEFAULT, *words]
    assert cli.main([*map(str, arguments)]) == code
    written = capsys.readouterr()
    return (written.err if code else written.out).strip()


@pytest.mark.parametrize("size", [(5, 3), (32, 16), (70, 41)])
def test_a_map_of_any_size_gives_a_picture_of_that_size(size, trained, tmp_path, capsys):
    path = tmp_path / "map.png"
    Image.new("P", size, 1).save(path)
    drawn = Path(paint(capsys, path, trained / "models", "--seed", 3))
    assert drawn.name == "map-painted-3.png"
    with Image.open(drawn) as picture:
        assert picture.size == size
    mark, _ = provenance.read(drawn)
    assert (mark["command"], mark["seed"]) == ("paint", 3)


def test_a_map_that_is_stored_turned_is_painted_upright(trained, tmp_path, capsys):
    indices = Image.fromarray(map_of(1).astype(np.uint8)).crop((0, 0, 40, 24))
    exif, pixels = Image.Exif(), []
    exif[0x112] = 8  # to be turned counterclockwise
    indices.save(tmp_path / "map.png")
    indices.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=exif)
    for name in ("map.png", "turned.png"):
        drawn = paint(capsys, tmp_path / name, trained / "models")
        pixels.append(provenance.read(Path(drawn))[1])
    assert pixels[0] == pixels[1]


def test_maps_that_the_model_cannot_know_are_refused_in_one_line(trained, chain, tmp_path, capsys):
    path = tmp_path / "map.png"
    Image.new("L", (32, 16), 7).save(path)
    said = paint(capsys, path, trained / "models", code=2)
    assert "the index 7, but there are 3 classes" in said
    assert "0 sky, 1 sea, 2 land" in said
    Image.new("RGB", (32, 16)).save(path)
    said = paint(capsys, path, trained / "models", code=2)
    assert "has the mode RGB" in said
    assert len(said.splitlines()) == 1
    with pytest.raises(BadInput, match="the data have no maps; name a folder of maps"):
        check_task(CONFIG, LatentShards(chain.latents, "train"))


@pytest.mark.parametrize(
    "guidance", [{}, {"guidance_scale": 3.0, "guide": GuideConfig(kind="unconditional")}]
)
def test_the_stage_sample_draws_from_the_maps_of_held_out_pictures(
    guidance, trained, chain, tmp_path
):
    sample_images(
        replace(SAMPLE, full_size_picture=False, num_images=2, **guidance),
        autoencoder=chain.autoencoder,
        diffusion=trained / "models" / "diffusion",
        shards=trained / "shards",
        samples=tmp_path / "samples",
    )
    rows = json.loads((tmp_path / "samples" / "samples.json").read_text())["samples"]
    assert [row["held_out"] for row in rows] == [f"{6:020x}", f"{5:020x}"]


KILLED = """
import os, pickle, signal, sys
import torch
from pdm.inference.sample import sample_images
from pdm.parallel.part_folder import PartFolder

torch.set_num_threads(1)
finish = PartFolder.finish

def finish_and_die(folder, part, record):
    finish(folder, part, record)
    os.kill(os.getpid(), signal.SIGKILL)

PartFolder.finish = finish_and_die
config, folders = pickle.loads(bytes.fromhex(sys.argv[1]))
sample_images(config, **folders)
"""


def test_after_a_kill_nothing_is_kept_that_was_drawn_from_other_maps(trained, chain, tmp_path):
    config = replace(SAMPLE, full_size_picture=False, num_images=2, batch_size=1)

    def folders(shards: Path, samples: str) -> dict[str, Path]:
        models = {"autoencoder": chain.autoencoder, "diffusion": trained / "models" / "diffusion"}
        return models | {"shards": shards, "samples": tmp_path / samples}

    other = write_map_shards(tmp_path / "shards", first_map=100)
    task = pickle.dumps((config, folders(trained / "shards", "killed"))).hex()
    assert subprocess.run([sys.executable, "-c", KILLED, task], check=False).returncode < 0
    assert list(tmp_path.glob(".part-killed-*/records/000000.json"))
    for name in ("killed", "unbroken"):
        sample_images(config, **folders(other, name))
    for file in ("000000.png", "000001.png"):
        killed, unbroken = (tmp_path / name / file for name in ("killed", "unbroken"))
        assert killed.read_bytes() == unbroken.read_bytes()


def test_without_a_params_file_a_map_is_painted_with_the_guidance_of_the_preset(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(map_of(1).astype(np.uint8)).save("map.png")
    assert cli.main(["paint", "map.png", "--models", str(trained / "models"), "--steps", "3"]) == 0
    mark, _ = provenance.read(Path(capsys.readouterr().out.strip()))
    assert (mark["guidance_scale"], mark["guide"]) == (3.0, {"kind": "unconditional"})
