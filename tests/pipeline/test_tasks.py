"""Every task from a fresh project to the user's command: `pyramid preset task-...`, `dvc repro`."""

import json

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

FROM_LATENTS = ["latents", "diffusion", "sample", "evaluate"]


@pytest.fixture(scope="module")
def project(new_project):
    """One project for all tasks: its pictures and its autoencoder are made once."""
    project = new_project("tasks")
    for task in ("layout", "semantic"):  # built-in landscapes get boxes and maps
        take_preset(project, task)
    project.run("dvc", "repro", "latents")
    return project


def take_preset(project, task):
    names = ("--from", "params.yaml", "--output", "params.yaml", "--force")
    project.run("pyramid", "preset", f"task-{task}", *names)
    project.set({"sample": {"num_images": 4, "steps": 2}})


def reproduce(project, task):
    take_preset(project, task)
    project.run("dvc", "repro")
    assert project.stages_run()[-3:] == FROM_LATENTS[-3:]
    metrics = json.loads((project.folder / "metrics.json").read_text())
    assert metrics["frechet_random_conv"]["samples_vs_val"] > 0
    samples = json.loads((project.folder / "samples/samples.json").read_text())
    assert len(list((project.folder / "samples").glob("0*.png"))) == 4
    return samples


def held_out_picture(project, name):
    """A picture of the project's size that no model has seen."""
    path = project.folder / name
    noise = np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((96, 48), Image.Resampling.BICUBIC).save(path)
    return path


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_semantic(project):
    samples = reproduce(project, "semantic")
    assert "held_out" in json.dumps(samples)
    class_map = np.zeros((48, 96), np.uint8)
    class_map[24:] = 2
    Image.fromarray(class_map).save(project.folder / "map.png")
    project.run("pyramid", "paint", "map.png", "--output", "painted.png")
    assert pixels(project.folder / "painted.png").shape == (48, 96, 3)


def test_inpainting(project):
    samples = reproduce(project, "inpainting")
    assert "held_out" in json.dumps(samples)
    picture = held_out_picture(project, "picture.png")
    mask = np.zeros((48, 96), np.uint8)
    mask[10:30, 20:50] = 255
    Image.fromarray(mask).save(project.folder / "mask.png")
    project.run("pyramid", "inpaint", "picture.png", "--mask", "mask.png", "--output", "new.png")
    changed = (pixels(project.folder / "new.png") != pixels(picture)).any(axis=-1)
    assert changed.any()
    assert not changed[mask == 0].any()


def test_super_resolution(project):
    reproduce(project, "super-resolution")
    held_out_picture(project, "small.png")
    project.run("pyramid", "upscale", "small.png", "--factor", "4", "--output", "large.png")
    assert pixels(project.folder / "large.png").shape == (192, 384, 3)


def test_layout(project):
    samples = reproduce(project, "layout")
    drawn = samples["samples"][0]["layout"]["boxes"]
    assert drawn
    (project.folder / "boxes.json").write_text(json.dumps([drawn, drawn[:1]]))
    project.run("pyramid", "draw", "--boxes", "boxes.json", "--seed", "3", "--output", "drawn")
    found = list((project.folder / "drawn").glob("*-3*.png"))
    assert [pixels(path).shape for path in found] == [(32, 64, 3)] * 2


def test_text(project):
    samples = reproduce(project, "text")
    assert "prompt" in json.dumps(samples)
    project.run("pyramid", "draw", "desert dunes at sunset", "--seed", "3", "--num", "2")
    for seed in (3, 4):
        assert pixels(project.folder / f"desert-dunes-at-sunset-{seed}.png").shape == (32, 64, 3)
