"""`pyramid autoencoder --dry-run` and `pyramid diffusion --dry-run` before there is any data."""

from pathlib import Path

import pytest

from pdm import cli, presets
from pdm.params.override import override
from pdm.registry import level_shapes_of


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with params and nothing else."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["preset", "model-tiny", "--output", "params.yaml"]) == 0


def test_what_a_training_takes_is_predicted_from_the_params_alone(capsys):
    capsys.readouterr()
    assert cli.main(["autoencoder", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("data/shards does not exist yet\n")
    assert "inputs of an image: 3x32x64" in text
    assert cli.main(["diffusion", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("data/latents does not exist yet\n")
    shapes, _ = level_shapes_of(presets.load("model-tiny").autoencoder)
    assert ", ".join("x".join(map(str, shape)) for shape in shapes) in text
    assert "memory of a worker, predicted:" in text


def test_a_distillation_is_predicted_beside_the_flow(capsys):
    distil = "{steps: 4, teacher_steps: 8, total_images: 64, batch_size: 8, learning_rate: 2.0e-4"
    assignment = f"diffusion.distil={distil}, ema_half_life_images: 40}}"
    path = Path("params.yaml")
    path.write_text(override(path.read_text(), [assignment])[0])
    capsys.readouterr()
    assert cli.main(["diffusion", "--dry-run"]) == 0
    flow, distillation = capsys.readouterr().out.split("then the distillation:")
    assert "teacher" not in flow
    assert "teacher" in distillation


@pytest.mark.parametrize("form", ["json", "costs"])
def test_programs_are_told_that_there_is_no_data(form, capsys):
    assert cli.main(["autoencoder", f"--dry-run={form}"]) == 2
    assert "run the stage that writes data/shards first" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["task-layout", "task-semantic"])
def test_a_task_whose_classes_are_those_of_the_data_says_so(task, capsys):
    words = ["preset", task, "--from", "params.yaml", "--output", "params.yaml", "--force"]
    assert cli.main(words) == 0
    assert cli.main(["diffusion", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "takes its classes from the data, and data/latents does not exist yet" in said
