"""Facts that are logged with a run."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from pdm import params
from pdm.tracking.records.facts import pipeline_settings

SHIPPED = Path(__file__).parents[2] / "params.yaml"
STAGES = ("autoencoder", "diffusion", "evaluate")


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(SHIPPED, "params.yaml")
    return params.load(SHIPPED)


def test_every_stage_logs_the_same_settings_of_its_pipeline(loaded):
    """A run whose stages were all done anew would otherwise seem to differ from one that took some
    of them from DVC's cache."""
    found = [pipeline_settings(stage, getattr(loaded, stage)) for stage in STAGES]
    assert found[0] == found[1] == found[2]
    assert found[0]["sample.num_images"] == "48"


def test_what_the_command_line_sets_is_logged_with_it(loaded):
    section = loaded.autoencoder
    perceptual = dataclasses.replace(section.perceptual, texture=2.0)
    training = dataclasses.replace(section.training, total_images=8)
    changed = dataclasses.replace(section, perceptual=perceptual, training=training)
    before = pipeline_settings("autoencoder", section)
    after = pipeline_settings("autoencoder", changed)
    assert dict(after.items() - before.items()) == {
        "autoencoder.perceptual.texture": "2.0",
        "autoencoder.training.total_images": "8",
    }


def test_settings_that_do_not_fit_are_logged_as_they_are(loaded):
    text = SHIPPED.read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("num_images: 48", "num_images: many"))
    found = pipeline_settings("autoencoder", loaded.autoencoder)
    assert found["sample.num_images"] == "many"


@pytest.mark.parametrize("text", [None, "- a\n- list\n", "{"])
def test_without_params_a_stage_logs_its_own_settings(text, loaded):
    Path("params.yaml").unlink()
    if text is not None:
        Path("params.yaml").write_text(text)
    found = pipeline_settings("evaluate", loaded.evaluate)
    assert found["evaluate.batch_size"] == str(loaded.evaluate.batch_size)
    assert not any(name.startswith("sample.") for name in found)
