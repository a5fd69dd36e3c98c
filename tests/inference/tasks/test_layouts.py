"""Drawing by boxes, from shards to a picture of a user's layout, at a tiny size."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layout_chain import BOAT, CONFIG, SUN, record_of_sample
from PIL import Image
from tiny_chain import SAMPLE

from pdm import cli
from pdm.config.file import FileConfig
from pdm.config.stages.sample import GuideConfig
from pdm.data import provenance
from pdm.data.annotations.box_outlines import outline_boxes
from pdm.data.annotations.boxes import LabelledBox, layout_of_sample
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.sample import sample_images
from pdm.model_record import record_of
from pdm.presets import DEFAULT
from pdm.tasks.find import check_task


def test_latents_have_the_layouts_and_mirrored_copies_mirrored_ones(by_boxes):
    latents = LatentShards(by_boxes / "latents", "train")
    for number in range(5):
        expected = layout_of_sample(record_of_sample(number))
        assert latents.layouts[number] == expected
        assert latents.layouts[number + 5] == expected.mirrored()
    assert latents.layouts[2].crop == (0.0, 0.1, 1.0, 0.74)
    record = record_of(by_boxes / "models" / "diffusion")
    assert record["boxes"] == {"classes": ["boat", "sun"], "crop": [0.0, 0.1, 1.0, 0.74]}
    assert record["task"]["kind"] == "layout"


def test_a_task_of_layouts_needs_boxes(chain):
    latents = LatentShards(chain.latents, "train")
    with pytest.raises(BadInput, match=r"no image has a box; put NAME\.boxes\.json"):
        check_task(CONFIG, latents)


def sample(by_boxes: Path, folder: Path, **changes) -> dict:
    config = replace(SAMPLE, full_size_picture=False, **changes)
    models = by_boxes / "models"
    sample_images(
        config,
        autoencoder=models / "autoencoder",
        diffusion=models / "diffusion",
        shards=by_boxes / "shards",
        samples=folder,
    )
    return json.loads((folder / "samples.json").read_text())


def test_samples_take_turns_with_the_layouts_of_held_out_pictures(by_boxes, tmp_path):
    guided = {"guidance_scale": 2.0, "guide": GuideConfig(kind="unconditional")}
    found = sample(by_boxes, tmp_path / "samples", num_images=3, **guided)["samples"]
    keys = [f"{5:020x}", f"{7:020x}", f"{5:020x}"]  # number 6 has no boxes
    assert [one["held_out"] for one in found] == keys
    assert found[0]["layout"] == {"boxes": [BOAT, SUN], "crop": [0.0, 0.1, 1.0, 0.74]}
    facts = provenance.read_facts(tmp_path / "samples" / found[1]["file"])
    assert facts["layout"]["boxes"] == [BOAT]
    plain = sample(by_boxes, tmp_path / "plain", num_images=1)["samples"]
    assert plain[0]["pixels_sha256"] != found[0]["pixels_sha256"]  # guidance has an effect


def test_samples_of_a_file_are_those_of_the_command(by_boxes, tmp_path, capsys):
    path = tmp_path / "layouts.json"
    path.write_text(json.dumps([[BOAT], [SUN, BOAT]]))
    file = FileConfig(path=str(path), sha256=sha256_of(path))
    settings = {"layouts": file, "num_images": 2, "batch_size": 1, "seed": 3}
    found = sample(by_boxes, tmp_path / "samples", **settings)["samples"]
    assert [one["layout"]["boxes"] for one in found] == [[BOAT], [SUN, BOAT]]
    assert "held_out" not in found[0]
    out = draw(capsys, path, by_boxes, "--seed", 3, "--output", tmp_path / "drawn", "--guidance", 1)
    names = [Path(line.split()[0]).name for line in out.splitlines()]
    assert names == ["boat-3.png", "sun-boat-3.png"]
    mark = provenance.read_facts(tmp_path / "drawn" / "boat-3.png")
    assert mark["layout"] == found[0]["layout"]
    assert "guidance_scale" not in mark  # the params say 2.5


def draw(capsys, path: Path, by_boxes: Path, *words, code=0) -> str:
    models = ("--models", by_boxes / "models", "--steps", 2, "--params", DEFAULT)
    assert cli.main([*map(str, ["draw", "--boxes", path, *models, *words])]) == code
    written = capsys.readouterr()
    return (written.err if code else written.out).strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot be read as JSON"),
        ("[]", "has no layouts"),
        ("[[]]", "it has no boxes; add at least one"),
        (json.dumps([BOAT | {"class": "car"}]), "the class 'car'; the model has boat, sun"),
        (json.dumps([[BOAT], [BOAT | {"x": 0.6}]]), "layout 2: box 1 (boat) reaches from 0.6, 0.5"),
        (json.dumps({"boxes": [BOAT], "crop": [0, 0, 2, 1]}), "its crop is [0, 0, 2, 1]"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(text, message, by_boxes, tmp_path, capsys):
    path = tmp_path / "boxes.json"
    path.write_text(text)
    error = draw(capsys, path, by_boxes, code=2)
    assert message in error
    assert "boxes.json" in error
    assert len(error.splitlines()) == 1


def test_other_models_refuse_boxes_and_this_one_needs_them(by_boxes, chain, tmp_path, capsys):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([BOAT]))
    assert "--boxes cannot be combined with --negative" in draw(
        capsys, path, by_boxes, "--negative", "rain", code=2
    )
    words = ["draw", "--models", str(by_boxes / "models"), "--params", str(DEFAULT)]
    assert cli.main(words) == 2
    assert "give a file of boxes with --boxes" in capsys.readouterr().err
    (tmp_path / "models").mkdir()
    for name in ("autoencoder", "diffusion"):
        (tmp_path / "models" / name).symlink_to(getattr(chain, name))
    assert "cannot use boxes; leave --boxes out" in draw(capsys, path, tmp_path, code=2)


def test_the_sheets_of_samples_and_of_the_training_have_the_boxes(by_boxes, tmp_path):
    sample(by_boxes, tmp_path / "samples", num_images=1)
    picture = np.asarray(Image.open(tmp_path / "samples" / "000000.png"))
    box = LabelledBox(BOAT["class"], *(BOAT[name] for name in ("x", "y", "width", "height")))
    outlined = outline_boxes(picture, [box])
    assert outlined.shape == (128, 256, 3)
    changed = (outlined != outline_boxes(picture, [])).any(-1)
    assert changed[64, :128].all()  # its upper edge
    assert not changed[:60].any()
    sheet = np.asarray(Image.open(tmp_path / "samples" / "contact-sheet.png"))
    sun = outline_boxes(picture, [box, LabelledBox("sun", 0.625, 0.0, 0.25, 0.25)])
    assert np.array_equal(sheet[6:-6, 6:-6], sun)
    assert list((by_boxes / "run" / "pictures").glob("samples-*.png"))
