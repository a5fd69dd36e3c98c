import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.errors import BAD_INPUT, UNAVAILABLE, RunError
from flows.stages import graph, stage


def change(old: str, new: str):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace(old, new))


def test_stages_come_after_what_they_depend_on_with_their_outputs(toy):
    assert graph.stages() == [
        graph.Stage("first", "python first.py", ("one.txt",), (), frozenset()),
        graph.Stage("second", "python second.py", ("two", "page.html"), (), frozenset({"first"})),
        graph.Stage(
            "third",
            "python third.py",
            ("scores.json",),
            ("scores.json",),
            frozenset({"first", "second"}),
        ),
    ]


def test_a_lock_file_with_a_merge_conflict_is_named_with_what_to_do(done):
    lock = Path("dvc.lock")
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> other\n")
    with pytest.raises(
        RunError, match=r"'dvc\.lock'.*`git checkout dvc\.lock`.*delete it"
    ) as error:
        graph.stale()
    assert error.value.exit_code == BAD_INPUT


def test_every_stage_is_stale_before_the_first_run(toy):
    assert set(graph.stale()) == {"first", "second", "third"}


def test_a_changed_param_makes_exactly_its_reader_stale(done):
    assert graph.stale() == []
    change("second: {value: 2}", "second: {value: 5}")
    assert graph.stale() == ["second"]
    assert graph.stale("third") == []


def test_a_lost_output_makes_its_stage_stale(done):
    Path("one.txt").unlink()
    assert graph.stale("first") == ["first"]


def test_works_without_git_and_again_with_it(toy):
    shutil.rmtree(".git")
    graph.configure_dvc_scm()
    assert stage.reproduce("first", print).state == "run"
    subprocess.run(["git", "init", "--quiet"], check=True)
    graph.configure_dvc_scm()
    change("first: {value: 1}", "first: {value: 4}")
    assert stage.reproduce("first", print).state == "run"
    assert "no_scm" not in Path(".dvc/config.local").read_text()


def test_a_locked_folder_is_reported(toy, script):
    script("import pathlib, time; pathlib.Path('begun').touch(); time.sleep(30)")
    with subprocess.Popen([sys.executable, "-m", "dvc", "repro", "-q", "first"]) as other:
        while not Path("begun").exists():
            time.sleep(0.1)
        with pytest.raises(RunError, match="another DVC command") as error:
            graph.stale()
        other.terminate()
    assert error.value.exit_code == UNAVAILABLE


def test_a_broken_graph_is_bad_input(toy):
    Path("dvc.yaml").write_text("stages: {first: {outs: [one.txt]}}")
    with pytest.raises(RunError, match=r"dvc\.yaml") as error:
        graph.stages()
    assert error.value.exit_code == BAD_INPUT
