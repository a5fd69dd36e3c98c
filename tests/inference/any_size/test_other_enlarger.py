"""Pictures that one model composes and others enlarge, by `draw` and by the stage `sample`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_chain import SAMPLE

from pdm import cli
from pdm.config.sampling.any_size import EnlargerConfig
from pdm.data import provenance
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.sample import sample_images
from pdm.lineage.trace import Places, trace
from pdm.presets import DEFAULT

CONFIG = replace(SAMPLE, size=(144, 128), num_images=1, full_size_picture=False, steps=2)


def folder_of(chain, path: Path, record: dict | None = None) -> Path:
    """A folder with the chain's models; `record` replaces facts of the diffusion model."""
    path.mkdir()
    (path / "autoencoder").symlink_to(chain.autoencoder)
    (path / "diffusion").mkdir()
    for name in ("model.safetensors", "config.json"):
        (path / "diffusion" / name).symlink_to(chain.diffusion / name)
    if record is not None:
        facts = json.loads((chain.diffusion / "config.json").read_text()) | record
        (path / "diffusion/config.json").unlink()
        (path / "diffusion/config.json").write_text(json.dumps(facts))
    return path


@pytest.fixture
def run(chain, tmp_path, one_thread):
    """`pyramid draw` without guidance, since the tiny model has no earlier EMA."""
    models = folder_of(chain, tmp_path / "models")
    params = tmp_path / "params.yaml"
    params.write_text(DEFAULT.read_text().replace("guidance_scale: 2.5", "guidance_scale: 1.0"))

    def call(*words, code=0) -> None:
        options = ["--models", models, "--params", params, "--steps", 2]
        assert cli.main([*map(str, ("draw", *words, *options))]) == code

    return call


def test_the_same_models_in_another_folder_draw_the_same_picture(run, chain, tmp_path):
    other = folder_of(chain, tmp_path / "other")
    found = []
    for name, words in (("one", []), ("two", ["--enlarger", other])):
        run("--size", "144x128", "--output", tmp_path / name, *words)
        [path] = (tmp_path / name).iterdir()
        found.append(provenance.read(path))
    (plain, pixels), (mark, by_other) = found
    assert by_other == pixels
    assert "enlarger" not in plain
    digest = sha256_of(other / "diffusion/model.safetensors")
    assert mark["enlarger"] == {"path": str(other), "sha256": digest}
    assert mark["enlarger_autoencoder_sha256"] == mark["autoencoder_sha256"]


def test_the_stage_takes_other_models_and_the_lineage_of_a_sample_names_them(chain, tmp_path):
    other = folder_of(chain, tmp_path / "other")
    enlarger = EnlargerConfig(
        path=str(other), sha256=sha256_of(other / "diffusion/model.safetensors")
    )
    paths = {name: getattr(chain, name) for name in ("autoencoder", "diffusion", "shards")}
    found = []
    for name, config in (("one", CONFIG), ("two", replace(CONFIG, enlarger=enlarger))):
        sample_images(config, samples=tmp_path / name, **paths)
        found.append(provenance.read(tmp_path / name / "000000.png")[1])
    assert found[0] == found[1]
    places = Places(tmp_path, tmp_path / "two", tmp_path / "runs", tmp_path / "decisions")
    models = {
        model.stage: model.place for model in trace(tmp_path / "two/000000.png", places).models
    }
    assert models["enlarger"] == str(other / "diffusion")
    assert models["enlarger's autoencoder"] == str(other / "autoencoder")
    wrong = replace(CONFIG, enlarger=replace(enlarger, sha256="0" * 64))
    with pytest.raises(BadInput, match=r"sample\.enlarger.*sha256"):
        sample_images(wrong, samples=tmp_path / "three", **paths)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"images_seen": 0}, "has random weights"),
        ({"autoencoder_sha256": "0" * 64}, "was not trained on latents of the autoencoder beside"),
        ({"task": {"kind": "semantic"}}, "was trained for semantic, which cannot enlarge"),
    ],
)
def test_models_that_cannot_enlarge_are_refused_in_one_line_before_any_work(
    record, message, run, chain, tmp_path, capsys
):
    other = folder_of(chain, tmp_path / "other", record)
    run("--size", "144x128", "--output", tmp_path / "out", "--enlarger", other, code=2)
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert f"--enlarger: {other}" in error
    assert message in error
    assert not (tmp_path / "out").exists()


def test_an_enlarger_needs_a_size_and_a_folder_of_both_models(run, chain, tmp_path, capsys):
    run("--enlarger", tmp_path, code=2)
    assert "--enlarger requires --size" in capsys.readouterr().err
    run("--size", "144x128", "--enlarger", chain.diffusion, code=2)
    assert "name a folder with autoencoder/ and diffusion/ in it" in capsys.readouterr().err
    with pytest.raises(ValueError, match="null without a size"):
        replace(SAMPLE, enlarger=EnlargerConfig(path="models", sha256="0" * 64))
