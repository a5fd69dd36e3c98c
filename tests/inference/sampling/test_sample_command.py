"""`pyramid sample` by itself: with a preset in place of a params file, and with random weights."""

import json

import pytest
from PIL import Image

from pdm import cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder: no params, no shards, no models."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_preset_and_random_weights_are_enough_and_give_a_warning(elsewhere, caplog):
    words = ["sample", "--preset", "tiny", "--untrained", "--num-images", "2", "--steps", "1"]
    assert cli.main(words) == 0
    assert "RANDOM WEIGHTS" in caplog.text
    samples = elsewhere / "samples-tiny"
    assert [path.name for path in elsewhere.iterdir()] == [samples.name]  # nor any model
    record = json.loads((samples / "samples.json").read_text())
    assert record["untrained"] is True
    assert (len(record["samples"]), record["steps"]) == (2, 1)
    assert Image.open(samples / "000001.png").size == (64, 32)


def test_models_of_the_presets_size_are_taken(elsewhere):
    assert cli.main(["preset", "tiny", "--output", "my.yaml"]) == 0
    models = ["--autoencoder", "a", "--diffusion", "d"]
    assert cli.main(["untrained", "--params", "my.yaml", *models]) == 0
    words = ["sample", "--preset", "tiny", "--steps", "1", "--samples", "here", *models]
    assert cli.main(words) == 0
    assert len(json.loads((elsewhere / "here" / "samples.json").read_text())["samples"]) == 1


def test_missing_models_or_models_of_another_size_are_refused(chain, elsewhere, capsys):
    def refusal(*words):
        assert cli.main(["sample", *map(str, words)]) == 2
        assert list(elsewhere.iterdir()) == []
        return capsys.readouterr().err

    assert "add --untrained" in refusal("--preset", "tiny")
    models = ("--autoencoder", chain.autoencoder, "--diffusion", chain.diffusion)
    said = refusal("--preset", "tiny", *models)
    assert "is a model for 32x16, the preset tiny is for 64x32" in said
    assert "no preset '4096'" in refusal("--preset", "4096")
    assert "set sample.steps in the params" in refusal("--steps", "3")
