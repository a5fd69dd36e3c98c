"""Any name of an experiment gives the registry a name that it takes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_model_name
from scored_models import draw, evaluate
from tracked_runs import client, runs

from pdm.comparison.compare import compare
from pdm.tracking.registry.champion import LONGEST_NAME, fetch_champion, model_name
from pdm.tracking.sync import sync

NAMES = [
    ("team/landscapes", "team-landscapes"),
    ("a:b", "a-b"),
    ("/Users/me@example.org/Zürich 山", "Users-me@example.org-Zürich-山"),
]


@pytest.mark.parametrize(("experiment", "model"), NAMES)
def test_a_run_of_any_experiment_is_finished_registered_and_compared(
    experiment, model, monkeypatch
):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment)
    draw(b"one")
    evaluate(3.0, monkeypatch)
    assert runs(name=experiment)["evaluate"].info.status == "FINISHED"
    assert client().get_model_version_by_alias(model, "champion").version == 1
    assert (fetch_champion(Path("here")) / "diffusion/model.safetensors").read_bytes() == b"one"
    assert "nothing" in sync(Path("runs"))
    assert "Fréchet" in compare([], experiment=experiment, output=Path("page.html"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_the_registry_takes_every_name(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", text)
        name = model_name()
    assert name
    _validate_model_name(name)  # raises for a name that the registry refuses


def test_long_names_are_cut_and_stay_apart(monkeypatch):
    names = []
    for ending in ("a", "b"):
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "long/" * 99 + ending)
        names.append(model_name())
    assert all(len(name) == LONGEST_NAME for name in names)
    assert names[0] != names[1]


def test_a_name_that_the_registry_takes_stays_as_it_is(monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Küste, 2.Versuch")
    assert model_name() == "Küste,-2.Versuch"
