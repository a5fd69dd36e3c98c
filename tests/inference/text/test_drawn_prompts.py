"""What the command `pyramid draw` draws of prompts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_chain import SAMPLE

from pdm.cli import main
from pdm.data import provenance
from pdm.errors import Unavailable
from pdm.inference.any_size import large
from pdm.inference.pictures.loaded_models import load_models
from pdm.models.unet import PyramidUNet
from pdm.params.override import override
from pdm.presets import preset_text


@pytest.fixture(scope="module")
def models(taught, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for stage in ("autoencoder", "diffusion"):
        (folder / stage).symlink_to(taught.folder / stage)
    return folder


def run_draw(models: Path, output: Path, *words, code=0, **sample) -> list[Path]:
    """Run `pyramid draw`, with the text preset and changes of its section `sample`."""
    params = output / "params.yaml"
    changes = [f"sample.{name}={value}" for name, value in sample.items()]
    params.write_text(override(preset_text("task-text", None), changes)[0])
    arguments = ["draw", *words, "--models", models, "--params", params, "--output", output]
    assert main([*map(str, arguments), "--steps", "3"]) == code
    return sorted(output.glob("*.png"))


def test_the_negative_prompt_of_the_command_changes_the_picture(models, tmp_path):
    found = []
    for name, words in (("without", []), ("with", ["--negative", "a bright picture"])):
        folder = tmp_path / name
        folder.mkdir()
        [path] = run_draw(models, folder, "a dark picture", *words)
        found.append(provenance.read(path))
    (plain, pixels), (negative, other) = found
    assert negative["negative_prompt"] == "a bright picture"
    assert "negative_prompt" not in plain
    assert pixels != other


def test_prompts_are_drawn_at_any_size(models, tmp_path, capsys):
    [path] = run_draw(models, tmp_path, "a dark picture", "--size", "140x128", guidance_scale=1.0)
    assert path.name == "a-dark-picture-140x128-0.png"
    with Image.open(path) as file:
        assert file.size == (140, 128)
        assert np.asarray(file).mean() < 120
    assert provenance.read(path)[0]["prompt"] == "a dark picture"
    run_draw(models, tmp_path, "a lake --w 64", "--size", "140x128", code=2)
    assert "leave out one of the two" in capsys.readouterr().err
    run_draw(models, tmp_path, code=2)
    assert "give a prompt" in capsys.readouterr().err


def test_the_prompts_of_the_params_are_not_drawn_into_a_picture_that_is_enlarged(models, tmp_path):
    Image.new("RGB", (80, 60), (200, 200, 200)).save(tmp_path / "photo.png")
    found = []
    for prompt in ("a dark picture", "a bright picture"):
        params, path = tmp_path / "params.yaml", tmp_path / f"{prompt}.png"
        changes = ["sample.guidance_scale=1.0", f"sample.prompts=[{prompt}]"]
        params.write_text(override(preset_text("task-text", None), changes)[0])
        words = ["upscale", tmp_path / "photo.png", "--size", "160x128", "--output", path]
        words += ["--colour", "none", "--models", models, "--params", params, "--steps", 3]
        assert main([*map(str, words)]) == 0
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_what_was_begun_with_another_guidance_interval_is_not_gone_on_with(
    models, tmp_path, monkeypatch
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(large, "write_picture", interrupt)
    found = set()
    for interval in ("[0.0, 1.0]", "[0.2, 0.8]"):
        settings = {"guidance_scale": 1.0, "guidance_interval": interval}
        words = ["a dark picture", "--guidance", 3, "--size", "140x128"]
        run_draw(models, tmp_path, *words, code=130, **settings)
        found |= {path.name for path in tmp_path.glob(".part-*")}
    assert len(found) == 2


def test_the_text_is_read_once_and_not_for_every_tile(models, tmp_path, monkeypatch):
    read = []
    encode_text = PyramidUNet.encode_text

    def count(network, condition):
        if not condition.tokens.is_floating_point():  # word pieces
            read.append(condition)
        return encode_text(network, condition)

    monkeypatch.setattr(PyramidUNet, "encode_text", count)
    run_draw(models, tmp_path, "a dark picture", "--size", "140x128", guidance_scale=1.0)
    # Once for the composition; in a round, once for each number of tiles in a batch.
    assert len(read) < 10


def test_without_a_params_file_the_command_guides_by_the_empty_text(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["draw", "a dark picture", "--models", str(models), "--negative", "bright"]
    assert main([*words, "--steps", "3"]) == 0
    facts, _ = provenance.read(tmp_path / "a-dark-picture-0.png")
    assert (facts["guide"], facts["guidance_scale"]) == ({"kind": "unconditional"}, 3.0)


def test_the_options_of_a_prompt_reach_no_other_prompt(models, tmp_path):
    (tmp_path / "prompts.txt").write_text("a lake\na hill --l 7.5\n")
    words = ["--prompts", tmp_path / "prompts.txt"]
    hill, lake = run_draw(models, tmp_path, *words, guidance_scale=1.0)
    alone = tmp_path / "alone"
    alone.mkdir()
    [expected] = run_draw(models, alone, "a lake", guidance_scale=1.0)
    assert provenance.read(lake) == provenance.read(expected)
    assert "guidance_scale" not in provenance.read(lake)[0]  # it has none
    assert provenance.read(hill)[0]["guidance_scale"] == 7.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--negative", "people", "--guidance", "1"], "the guidance scale is 1"),
        (["--prompts", "prompts.txt"], "has --w 636, but sides must be multiples of 8"),
    ],
)
def test_prompts_that_do_not_fit_the_model_are_refused_before_any_is_drawn(
    words, message, models, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("a lake\na hill --w 636\n")
    words = words if "--prompts" in words else ["a lake", *words]
    assert run_draw(models, tmp_path, *words, code=2) == []
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("options", "size"), [("--w 64 --h 40", (64, 40)), ("--h 8", (32, 8))])
def test_a_prompt_is_drawn_at_another_size_with_a_warning(options, size, models, tmp_path, caplog):
    [path] = run_draw(models, tmp_path, f"a dark picture {options}")
    with Image.open(path) as picture:
        assert picture.size == size
        assert np.asarray(picture).mean() < 100  # as dark as at the size of the training
    assert "drawn at {}x{} by a model that was trained at 32x16".format(*size) in caplog.text


def test_an_equal_prompt_at_another_size_is_another_picture(models, tmp_path):
    for options in ("", "--w 64"):
        found = run_draw(models, tmp_path, f"a dark picture {options}")
    widths = {path.name: Image.open(path).width for path in found}
    assert widths == {"a-dark-picture-0.png": 32, "a-dark-picture-0-2.png": 64}


def test_a_prompt_that_names_the_size_of_the_training_is_drawn_without_a_warning(
    models, tmp_path, caplog
):
    run_draw(models, tmp_path, "a dark picture --w 32 --h 16")
    assert "trained at" not in caplog.text


def test_pictures_whose_prompts_begin_alike_have_files_of_their_own(models, tmp_path):
    words = "a very long prompt of more than sixty characters about a dark sea"
    lines = ["a cat", "a cat --l 7.5", "a cat 0 --d 2", f"{words} at night", f"{words} at noon"]
    (tmp_path / "prompts.txt").write_text("\n".join(lines))
    found = run_draw(models, tmp_path, "--prompts", tmp_path / "prompts.txt")
    facts = {path.stem: provenance.read(path)[0] for path in found}
    assert [len(facts), facts["a-cat-0"]["guidance_scale"]] == [5, 3.0]
    assert facts["a-cat-0-2"]["guidance_scale"] == 7.5
    assert facts["a-cat-0-2-2"]["prompt"] == "a cat 0"
    assert {one["prompt"] for one in facts.values()} == {line.split(" --")[0] for line in lines}


def test_a_picture_of_an_earlier_command_stays_and_an_equal_one_is_not_doubled(models, tmp_path):
    (tmp_path / "a-cat-1.png").write_bytes(b"not a picture of ours")
    expected = ["a-cat-0.png", "a-cat-1-2.png", "a-cat-1.png"]
    for _ in range(2):  # the second time they are there already
        found = run_draw(models, tmp_path, "a cat", "--num", 2)
        assert [path.name for path in found] == expected
    first = found[0].read_bytes()
    found = run_draw(models, tmp_path, "a cat", "--guidance", 7.5)
    assert [path.name for path in found] == ["a-cat-0-2.png", *expected]
    assert (tmp_path / "a-cat-0.png").read_bytes() == first
    assert (tmp_path / "a-cat-1.png").read_bytes() == b"not a picture of ours"


def test_a_prompt_of_the_command_is_no_comment(models, tmp_path):
    [path] = run_draw(models, tmp_path, "#1 dad")
    assert provenance.read(path)[0]["prompt"] == "#1 dad"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a lake --s 2000000"], "--s: expected a whole number from 1 to 1,000,000"),
        (["a lake --w 65520 --h 65520"], "--w: expected a whole number from 1 to 18,432"),
        (["--prompts", "huge.txt"], "--h: expected a whole number from 1 to 18,432"),
        ([" "], "the prompt is empty"),
        (["--prompts", "empty.txt"], "has no prompts"),
        (["--prompts", "none.txt"], "cannot be read"),
    ],
)
def test_prompts_that_do_not_fit_the_command_are_refused_before_the_models_are_read(
    words, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "huge.txt").write_text("a hill\na lake --w 18432 --h 18440\n")
    for stage, file in (("autoencoder", "model.safetensors"), ("diffusion", "config.json")):
        (tmp_path / "models" / stage).mkdir(parents=True)
        (tmp_path / "models" / stage / file).write_text("damaged")
    run_draw(tmp_path / "models", tmp_path, *words, code=2)
    said = capsys.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_picture_for_which_there_is_no_memory_ends_in_one_line_of_advice(chain, tmp_path):
    loaded = load_models(chain.link_models(tmp_path), SAMPLE)
    said = rf"too little memory to draw {2**30}x{2**30} pixels .*; draw a smaller image, or"
    with pytest.raises(Unavailable, match=said):
        loaded.draw([0], (2**30, 2**30))


@pytest.mark.parametrize(
    "words",
    [["--guidance", "-1"], ["--guidance", "nan"], ["--steps", "99999999"], ["--seed", "1" * 20]],
)
def test_numbers_out_of_range_are_refused_by_the_command_line(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["draw", "a lake", *words])
    assert caught.value.code == 2
    assert f"argument {words[0]}: expected" in capsys.readouterr().err


def test_the_command_draws_prompts_with_the_models_of_a_folder(models, chain, tmp_path, capsys):
    params = tmp_path / "params.yaml"
    params.write_text(preset_text("task-text", None))
    words = ["draw", "A dark picture!", "--models", str(models), "--params", str(params)]
    words += ["--seed", "3", "--num", "2", "--steps", "5", "--output", str(tmp_path)]
    assert main([*words, "--negative", "a bright one", "--guidance", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{tmp_path / 'a-dark-picture-4.png'}  (2 of 2)"
    facts, _ = provenance.read(tmp_path / "a-dark-picture-3.png")
    assert (facts["prompt"], facts["seed"], facts["guidance_scale"]) == ("A dark picture!", 3, 2.0)
    assert facts["negative_prompt"] == "a bright one"
    assert np.asarray(Image.open(tmp_path / "a-dark-picture-4.png")).mean() < 90

    other = tmp_path / "other"
    other.mkdir()
    for stage in ("autoencoder", "diffusion"):
        (other / stage).symlink_to(getattr(chain, stage))
    assert main([*words[:2], "--models", str(other), "--params", str(params)]) == 2
    assert "trained without a condition, so it cannot follow a prompt" in capsys.readouterr().err
