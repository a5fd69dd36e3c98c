"""`--set KEY=VALUE`: what runs is what the params file says."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import dumps_yaml
from ruamel.yaml import YAML

from flows.stages.stage import environment_of_stages
from pdm import cli, params, presets
from pdm.errors import BadInput
from pdm.params.override import override, set_values
from pdm.presets import DEFAULT

TEXT = DEFAULT.read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "params.yaml"
    shutil.copy(DEFAULT, path)
    return path


def changed(text):
    """What is not as in the default file, without the comments."""
    pairs = zip(TEXT.splitlines(), text.splitlines(), strict=True)
    return [new.partition(" #")[0].strip() for old, new in pairs if old != new]


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("diffusion.training.learning_rate=3e-4", "learning_rate: 3e-4"),
        ("diffusion.training.learning_rate=0.0003", "learning_rate: 0.0003"),
        ("diffusion.training.learning_rate=3e-04", "learning_rate: 3e-04"),
        ("diffusion.level_loss_weights=[1, 1, 1, 2, 0.5]", "level_loss_weights: [1, 1, 1, 2, 0.5]"),
        ("sample.tile_px=null", "tile_px: null"),
        ("scrape.removed=sources/removed.txt", "removed: sources/removed.txt"),
        ("sample.sampler=ddim", "sampler: ddim"),
        ("scrape.sources.0.seed=7", "seed: 7"),
        ("sample.full_size_picture=false", "full_size_picture: false"),
    ],
)
def test_a_value_is_written_as_it_was_typed_and_nothing_else_changes(path, assignment, line):
    (change,) = set_values(path, [assignment])
    (new,) = changed(path.read_text())
    assert new == line
    assert change.startswith(assignment.partition("=")[0])
    params.load(path)


def test_several_values_are_checked_together(path):
    with pytest.raises(BadInput, match="guide"):
        set_values(path, ["sample.guide=null"])
    assert path.read_text() == TEXT
    set_values(path, ["sample.guide=null", "sample.guidance_scale=1.0"])
    assert params.load(path).sample.guide is None


def test_a_value_that_is_there_already_changes_nothing(path):
    before = path.stat()
    assert set_values(path, ["sample.steps=40", "sample.steps=4e1"]) == []
    after = path.stat()  # reading it may set the time of the last access
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def four_spaces(values):
    writer, stream = YAML(), io.StringIO()
    writer.indent(mapping=4, sequence=6, offset=4)
    writer.dump(values, stream)
    return stream.getvalue()


@pytest.mark.parametrize("dump", [yaml.safe_dump, dumps_yaml, four_spaces])
def test_a_file_of_another_layout_keeps_it(dump):
    text = dump(yaml.safe_load(TEXT))
    new, changes = override(text, ["sample.steps=7"])
    assert changes == ["sample.steps: 40 -> 7"]
    assert new == text.replace("steps: 40", "steps: 7")


def test_a_key_with_a_default_may_be_added():
    text = TEXT.replace("- kind: builtin", "- {kind: urls, path: a.csv}\n    - kind: builtin")
    new, changes = override(text, ["scrape.sources.0.url_column=link"])
    assert params.parse(new, Path("x")).scrape.sources[0].url_column == "link"
    assert changes == ["scrape.sources.0.url_column: link"]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("sample.step=4", "--set sample.step: unknown key; did you mean sample.steps?"),
        (
            "learning_rate=1e-3",
            "autoencoder.training.learning_rate or diffusion.distil",
        ),
        ("difusion.training.seed=1", "did you mean diffusion.training.seed?"),
        ("sample.steps", "--set sample.steps: expected KEY=VALUE"),
        ("sample.steps=", "--set sample.steps=: expected KEY=VALUE"),
        ("sample.classes=[sea", "the value is not valid YAML"),
        (
            "sample.previews.frames=2",
            "sample.previews is null; set all of it: --set",
        ),
        ("scrape.sources.3.seed=1", "the list has 1 item, counted from 0"),
        ("sample.steps=0", "params.yaml with --set: sample.steps: expected a number from 1"),
        ("sample.steps=2.5", "sample.steps: expected a whole number, got 2.5"),
        ("sample.full_size_picture=yes", "write true or false, without quotes"),
        ("autoencoder.image_width_px=100", "expected a multiple of the largest downsampling"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_file_stays(path, assignment, said):
    with pytest.raises(BadInput) as caught:
        set_values(path, [assignment])
    assert said in str(caught.value)
    assert path.read_text() == TEXT


def test_a_stage_says_in_a_line_what_it_writes_and_then_reads_it(path, capsys):
    arguments = ["--params", str(path), "--set", "latents.batch_size=3", "--set", "sample.seed=5"]
    code = cli.main(["latents", *arguments, "--shards", "no/such", "--latents", str(path.parent)])
    assert code == 2  # no shards
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: latents.batch_size: 16 -> 3",
        f"{path}: sample.seed: 0 -> 5",
    ]
    assert params.load(path).latents.batch_size == 3


def test_an_unknown_key_ends_a_stage_with_two(path, capsys):
    assert cli.main(["sample", "--params", str(path), "--set", "sample.step=5"]) == 2
    assert "did you mean sample.steps?" in capsys.readouterr().err


def test_a_preset_takes_values_without_writing_them():
    assert presets.load("model-tiny", ["sample.steps=3"]).sample.steps == 3


# with DVC


@pytest.fixture
def project(path, monkeypatch):
    """A project of one stage, which copies its section of params.yaml."""
    monkeypatch.chdir(path.parent)
    Path("show.py").write_text(
        "import json; from pdm import params; import dataclasses\n"
        "json.dump(dataclasses.asdict(params.load().sample), open('seen.json', 'w'))\n"
    )
    Path("dvc.yaml").write_text(
        "stages: {show: {cmd: python show.py, params: [sample], outs: [seen.json]}}"
    )
    environment = environment_of_stages() | {"PREFECT_HOME": str(path.parent / "prefect")}
    environment.pop("PREFECT_API_URL", None)

    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    for command in (
        "git init --quiet",
        "dvc init --quiet",
        "git add .",
        "git -c user.name=a -c user.email=a@b commit --quiet -m a",
    ):
        assert run(*command.split()).returncode == 0
    return run


def test_a_run_writes_the_value_where_dvc_finds_it(project):
    # Run once with the value and put the file back: a run that sets it has nothing to do.
    set_values(Path("params.yaml"), ["sample.tolerance=5e-05"])
    assert project("dvc", "repro").returncode == 0
    assert '"tolerance": 5e-05' in Path("seen.json").read_text()
    shutil.copy(DEFAULT, "params.yaml")
    done = project(sys.executable, "-m", "pdm", "run", "--set", "sample.tolerance=5e-05")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "params.yaml: sample.tolerance: 1.0e-3 -> 5e-05"
    assert lines[-1] == "everything is up to date"
    assert changed(Path("params.yaml").read_text()) == ["tolerance: 5e-05"]


def test_an_experiment_of_dvc_sweeps_small_numbers(project):
    done = project("dvc", "exp", "run", "-S", "sample.tolerance=0.00005")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tolerance: 5e-05" in Path("params.yaml").read_text()
    assert '"tolerance": 5e-05' in Path("seen.json").read_text()
