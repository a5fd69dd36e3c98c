"""What a run says before a model is trained again: one stage that trains, under real DVC."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny_chain import AUTOENCODER, DIFFUSION, SAMPLE, write_shards

from flows import environment
from flows.errors import RunError
from flows.stages import graph, retraining
from flows.stages.stage import environment_of_stages

ROOT = Path(__file__).parents[3]
SECTIONS = {"autoencoder": AUTOENCODER, "diffusion": DIFFUSION, "sample": SAMPLE}
LEARNING_RATE = "autoencoder.training.learning_rate"


class Project:
    """The stage `autoencoder`, and one after it that does nothing."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = environment_of_stages() | {
            "PREFECT_HOME": str(home),
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",  # nobody there
        }
        self.environment.pop("PREFECT_API_URL", None)
        (folder / "data").mkdir()
        write_shards(folder / "data/shards")
        graph_of_project = yaml.safe_load((ROOT / "dvc.yaml").read_text())
        stage = graph_of_project["stages"]["autoencoder"]
        stage["cmd"] += " --launcher process"
        after = {"cmd": "true", "deps": ["models/autoencoder"]}
        (folder / "dvc.yaml").write_text(
            yaml.safe_dump({"stages": {"autoencoder": stage, "latents": after}})
        )
        (folder / "pdm").mkdir()
        shutil.copy(ROOT / "pdm/versions.yaml", folder / "pdm")
        self.values = yaml.safe_load((ROOT / "pdm/presets/default.yaml").read_text())
        for section, config in SECTIONS.items():
            self.values[section] = json.loads(json.dumps(dataclasses.asdict(config)))
        self.set(keep_runs=2)
        self.run("git", "init", "--quiet")
        self.run("dvc", "init", "--quiet")

    def set(self, **training) -> None:
        """Change values of `autoencoder.training`."""
        self.values["autoencoder"]["training"] |= training
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.values))

    def run(self, *command: str, exit_code: int = 0) -> str:
        if command[0] in ("flows", "dvc"):
            command = (sys.executable, "-m", *command)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == exit_code, done.stdout
        return done.stdout

    def announced(self, *, keep_models: bool = False) -> str:
        """What is said before anything runs."""
        lines: list[str] = []
        try:
            retraining.announce(graph.stale(), lines.append, keep_models=keep_models)
        except RunError as error:
            lines.append(str(error))
        return "\n".join(lines)

    def files(self) -> dict[str, bytes]:
        """All that a refused run must leave as it was."""
        found = [*(self.folder / "models").rglob("*"), *(self.folder / "plots").rglob("*")]
        return {str(path): path.read_bytes() for path in found if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Project:
    """A project whose model was trained once. Each test leaves it so."""
    environment.prepare()
    project = Project(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("prefect"))
    project.run("dvc", "repro")
    return project


@pytest.fixture
def project(trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    values = json.loads(json.dumps(trained.values))
    yield trained
    trained.values = values
    trained.set()


def the_run(project: Project) -> str:
    [run] = (path.parent for path in project.folder.glob("runs/autoencoder/*/finished.json"))
    return str(run.relative_to(project.folder))


def test_a_first_training_is_not_announced(project, tmp_path):
    names = ("dvc.lock", "models", "plots")
    for name in names:
        Path(name).rename(tmp_path / name)
    assert project.announced(keep_models=True) == ""
    for name in names:
        (tmp_path / name).rename(name)


def test_nothing_is_announced_if_no_model_is_trained_again(project):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(f"# a remark\n{text}")
    assert project.announced(keep_models=True) == ""
    project.set(log_every_images=16)  # the run keeps its name, so its model is restored
    assert "autoencoder" in graph.stale()
    assert project.announced(keep_models=True) == ""


def test_a_changed_param_is_named_with_its_values_the_cost_and_what_keeps_the_model(project):
    project.set(learning_rate=0.25)
    old = AUTOENCODER.training.learning_rate
    [line] = project.announced().splitlines()
    assert line.startswith("autoencoder: training from the start, 32 images; the last run took 0:")
    assert f"for 32 images. Why: {LEARNING_RATE} ({old} -> 0.25). " in line
    assert line.endswith(f"The present model stays in {the_run(project)}/model")


def test_all_ways_to_keep_an_unsaved_model_of_a_long_training_are_listed(project):
    project.set(learning_rate=0.25)
    log, config = Path(the_run(project), "events.jsonl"), Path("models/autoencoder/config.json")
    texts = {path: path.read_text() for path in (log, config)}
    weights = Path("models/autoencoder/model.safetensors")
    hidden = weights.rename("weights")
    try:  # as on a machine on which the training took hours
        events = [json.loads(line) for line in texts[log].splitlines()]
        for event in events:
            if "images_per_second" in event.get("values", {}):
                event["values"]["images_per_second"] = 32 / 36000
        log.write_text("".join(json.dumps(event) + "\n" for event in events))
        said = project.announced()
    finally:
        log.write_text(texts[log])
        hidden.rename(weights)
    assert "the last run took 10:00:00 for 32 images" in said
    assert "models/autoencoder was changed after the stage wrote it" in said
    assert "No run and no cache has models/autoencoder: copy it now, or it is lost" in said
    for words in ("ctrl-C", "dvc checkout", "dvc commit --force", "init_from", "--keep-models"):
        assert words in said


@pytest.mark.slow
def test_with_keep_models_a_run_ends_with_2_and_removes_nothing(project):
    project.set(learning_rate=0.25)
    before = project.files() | {"lock": Path("dvc.lock").read_bytes()}
    said = project.run("flows", "run", "--keep-models", exit_code=2)
    assert LEARNING_RATE in said
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: --keep-models: autoencoder would be trained again")
    assert "Traceback" not in said
    assert project.files() | {"lock": Path("dvc.lock").read_bytes()} == before


@pytest.mark.slow
def test_what_is_announced_is_done_and_is_undone_within_seconds(project):
    model = Path("models/autoencoder/model.safetensors")
    before = model.read_bytes()
    project.set(learning_rate=0.25)
    lines = project.run("flows", "run").splitlines()
    announced = [at for at, line in enumerate(lines) if f"Why: {LEARNING_RATE}" in line]
    assert len(announced) == 1
    assert announced[0] < lines.index("== autoencoder ==")
    assert model.read_bytes() != before
    project.set(learning_rate=AUTOENCODER.training.learning_rate)
    shutil.rmtree(".dvc/cache/runs")  # else DVC restores it, without asking the stage
    assert project.announced(keep_models=True) == ""
    project.run("dvc", "repro")
    assert model.read_bytes() == before


def test_a_model_that_is_committed_to_other_params_is_not_trained_again(project):
    project.set(learning_rate=0.125)
    project.run("dvc", "commit", "--force", "autoencoder")
    assert project.announced(keep_models=True) == ""
    assert "autoencoder" not in graph.stale()
