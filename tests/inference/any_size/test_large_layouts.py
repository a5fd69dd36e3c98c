"""Pictures of any size by boxes, which stand where they were put in the finished picture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from layout_chain import BOAT, SUN
from PIL import Image
from tiny_chain import SAMPLE

from pdm import cli
from pdm.config.file import FileConfig
from pdm.config.sampling.tiling import TilingConfig
from pdm.config.stages.sample import GuideConfig
from pdm.data import provenance
from pdm.data.annotations.boxes import LabelledBox, Layout
from pdm.files import sha256_of
from pdm.inference.any_size.large import LargeImage, write_drawing
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.any_size.tiled.panorama import compose_side_by_side
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.pictures.draw import drawings_of_layout
from pdm.inference.pictures.loaded_models import LoadedModels, load_models
from pdm.inference.sample import sample_images
from pdm.models.text import TextTransformer
from pdm.presets import DEFAULT

CROP = (0.0, 0.1, 1.0, 0.74)  # of the data
QUARTER = LabelledBox("boat", 0.5, 0.5, 0.5, 0.5)  # at the bottom on the right
CONFIG = replace(SAMPLE, sampler="euler", steps=2)
LARGE = LargeImage(size=(128, 128), tiling=TilingConfig(mode="none"), colour="none")
WHOLE = LabelledBox("boat", 0.0, 0.0, 1.0, 1.0)


@pytest.fixture
def models(by_boxes, one_thread) -> LoadedModels:
    """It composes at 32x16 pixels."""
    return load_models(by_boxes / "models", CONFIG)


def tokens_of(models: LoadedModels, *boxes: LabelledBox) -> list[int]:
    return (
        models.networks.conditioning.task.condition_of_layouts([Layout(boxes, CROP)])
        .tokens[0]
        .tolist()
    )


def read_by(models: LoadedModels, draw) -> list[list[int]]:
    """What the network reads while a function draws: the tokens of each picture or tile."""
    read: list[torch.Tensor] = []
    [transformer] = [
        module
        for module in models.networks.network.modules()
        if isinstance(module, TextTransformer)
    ]
    with transformer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].clone())):
        draw()
    return torch.cat(read).tolist()


def test_the_composition_and_every_tile_read_what_stands_there_in_the_picture(models, tmp_path):
    """The sides of the composition are cut off: the middle half of it is shown."""
    [drawing] = drawings_of_layout(models, Layout((QUARTER,), CROP), [3])
    read = read_by(models, lambda: write_drawing(LARGE, drawing, tmp_path / "a.png", {}))
    assert read[0] == tokens_of(models, LabelledBox("boat", 0.5, 0.5, 0.25, 0.5))
    # Tiles of 32x16 pixels, row by row; in the first round they are as wide as the picture.
    none, half, full = (
        tokens_of(models, *boxes)
        for boxes in ((), (LabelledBox("boat", 0.5, 0.0, 0.5, 1.0),), (WHOLE,))
    )
    assert read[1:3] == [none, half]
    assert read[-32:] == 16 * [none] + 4 * [none, none, full, full]


def test_guidance_has_an_effect_at_any_size(by_boxes, one_thread, tmp_path):
    found = []
    for scale in (1.0, 3.0):
        config = replace(CONFIG, guidance_scale=scale, guide=GuideConfig(kind="unconditional"))
        models = load_models(by_boxes / "models", config)
        [drawing] = drawings_of_layout(models, Layout((QUARTER,), CROP), [3])
        found.append(write_drawing(LARGE, drawing, tmp_path / f"{scale}.png", {}))
    assert found[0] != found[1]


def test_pictures_side_by_side_read_their_own_boxes(models, tmp_path):
    layout = Layout((LabelledBox("sun", 0.75, 0.0, 0.25, 1.0),), CROP)
    [drawing] = drawings_of_layout(models, layout, [3])
    boxes = TileBoxes(layout, models.networks.conditioning.task, Rectangle(0, 0, 16, 128))
    bands = compose_side_by_side(drawing, (16, 128), tmp_path / "state", boxes=boxes)
    found: list[np.ndarray] = []
    tiles = read_by(models, lambda: found.extend(bands))[1:]  # after the picture of the light
    assert np.concatenate(found).shape == (16, 128, 3)
    empty, full = tokens_of(models), tokens_of(models, replace(WHOLE, class_name="sun"))
    assert {tuple(empty), tuple(full)} < set(map(tuple, tiles))
    assert tiles.count(empty) > tiles.count(full)


def test_a_part_has_the_boxes_that_it_shows_enough_of(models):
    flat = LabelledBox("boat", 0.0, 0.5, 1.0, 0.5)
    small = LabelledBox("sun", 0.2, 0.0, 0.1, 0.1)
    shown = Rectangle(10, 20, 100, 200)
    boxes = TileBoxes(Layout((flat, small), CROP), models.networks.conditioning.task, shown)

    def of(top: float, left: float, height: float, width: float) -> list[tuple]:
        layout = boxes.layout_of(Rectangle(top, left, height, width))
        assert layout.crop == CROP
        return [
            (box.class_name, *np.round((box.x, box.y, box.width, box.height), 3).tolist())
            for box in layout.boxes
        ]

    # A tenth of a large box that fills the part; most of the part is none of the picture.
    assert of(60, 20, 20, 40) == [("boat", 0.0, 0.0, 1.0, 1.0)]
    assert of(95, 0, 20, 40) == [("boat", 0.5, 0.0, 0.5, 0.75)]
    assert of(10, 60, 40, 40) == [("sun", 0.0, 0.0, 0.5, 0.25)]
    assert of(10, 76, 40, 40) == []  # a fifth of the small box
    assert of(0, 0, 120, 240) == [
        ("boat", 0.083, 0.5, 0.833, 0.417),
        ("sun", 0.25, 0.083, 0.083, 0.083),
    ]


@pytest.fixture
def run(by_boxes, tmp_path, one_thread):
    """Commands without guidance, since the tiny model has no earlier EMA."""
    params = tmp_path / "params.yaml"
    params.write_text(DEFAULT.read_text().replace("guidance_scale: 2.5", "guidance_scale: 1.0"))

    def call(*words, code=0) -> None:
        options = ["--models", by_boxes / "models", "--params", params, "--steps", 2]
        assert cli.main([*map(str, (*words, *options))]) == code

    return call


def boxes_in(folder: Path, *boxes: dict) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(boxes))
    return path


def test_the_command_draws_boxes_at_any_size_also_in_its_pixels(run, tmp_path, capsys):
    found = []
    for box in (BOAT, {"class": "boat", "bbox": [0, 64, 70, 32]}):
        path = boxes_in(tmp_path, box, SUN)
        words = ("--size", "140x128", "--output", tmp_path / f"{len(found)}")
        run("draw", "--boxes", path, *words)
        mark, digest = provenance.read(tmp_path / f"{len(found)}" / "boat-sun-140x128-0.png")
        assert mark["layout"]["boxes"] == [BOAT, SUN]
        assert mark["size"] == [140, 128]
        found.append(digest)
    assert found[0] == found[1]
    run("draw", "--boxes", path, code=2)
    assert "box 1 (boat) has a bbox in pixels" in capsys.readouterr().err


def test_the_stage_draws_layouts_of_files_and_of_held_out_pictures(by_boxes, tmp_path):
    path = boxes_in(tmp_path, {"class": "boat", "bbox": [0, 64, 72, 32]})
    config = replace(SAMPLE, size=(144, 128), num_images=1, full_size_picture=False, steps=2)
    of_file = replace(config, layouts=FileConfig(path=str(path), sha256=sha256_of(path)))
    for name, one in (("file", of_file), ("held-out", config)):
        sample_images(
            one,
            autoencoder=by_boxes / "models/autoencoder",
            diffusion=by_boxes / "models/diffusion",
            shards=by_boxes / "shards",
            samples=tmp_path / name,
        )
        [row] = json.loads((tmp_path / name / "samples.json").read_text())["samples"]
        assert row["layout"]["boxes"] == ([BOAT] if name == "file" else [BOAT, SUN])
        assert ("held_out" in row) == (name == "held-out")
        with Image.open(tmp_path / name / "000000.png") as file:
            assert file.size == (144, 128)


def test_a_model_of_layouts_enlarges_a_photo_without_any(run, tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).save(photo)
    run("upscale", photo, "--size", "140x128")
    mark, _ = provenance.read(tmp_path / "photo-140x128-0.png")
    assert "layout" not in mark


def test_other_models_enlarge_and_need_to_know_the_classes(run, by_boxes, chain, tmp_path, capsys):
    path = boxes_in(tmp_path, BOAT)
    words = ("draw", "--boxes", path, "--size", "140x128", "--output", tmp_path)
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.mkdir()
    run(*words, "--enlarger", chain.link_models(plain))
    mark, _ = provenance.read(tmp_path / "boat-140x128-0.png")
    assert mark["enlarger"]["path"] == str(plain)
    (other / "diffusion").mkdir(parents=True)
    (other / "autoencoder").symlink_to(chain.autoencoder)
    source = by_boxes / "models/diffusion"
    (other / "diffusion/model.safetensors").symlink_to(source / "model.safetensors")
    record = json.loads((source / "config.json").read_text())
    record["boxes"]["classes"] = ["car", "sun"]
    (other / "diffusion/config.json").write_text(json.dumps(record))
    run(*words, "--enlarger", other, code=2)
    error = capsys.readouterr().err
    assert "boxes of the classes car, sun, but the image has boxes of boat" in error
