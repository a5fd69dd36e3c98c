import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.errors import StageFailed
from flows.stages import graph, stage


def test_its_lines_are_passed_on_without_what_dvc_says(toy):
    lines = []
    outcome = stage.reproduce("first", lines.append)
    assert lines == ["\n== first ==", "first: wrote a one"]
    assert (outcome.state, outcome.summary) == ("run", "wrote a one")


def test_locks_that_an_interrupted_run_left_are_cleared_without_a_word(toy, caplog):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass  # its number belongs to nobody now
    lock = {"pid": process.pid, "cmd": "dvc repro --single-item first"}
    path = str(Path("one.txt").resolve())
    Path(".dvc/tmp").mkdir(exist_ok=True)
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {path: lock}}))
    assert graph.stale("first") == ["first"]  # DVC in this process
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"read": {path: [lock]}}))
    lines = []
    assert stage.reproduce("first", lines.append).state == "run"
    assert lines == ["\n== first ==", "first: wrote a one"]
    assert "RWLock" not in caplog.text


def test_what_became_of_a_model_in_the_registry_is_not_the_result_of_its_stage(toy, script):
    said = "first: distance 2; registry: not promoted: it is no better"
    script(f"open('one.txt', 'w').write('1'); print('{said}'.replace('; ', chr(10)))")
    outcome = stage.reproduce("first", print)
    assert (outcome.summary, outcome.promotion) == ("distance 2", "not promoted: it is no better")


def test_a_fresh_stage_is_not_run(toy):
    stage.reproduce("first", print)
    lines = []
    assert stage.reproduce("first", lines.append).state == "fresh"
    assert lines == []


def test_outputs_in_dvcs_cache_are_restored(toy):
    params = Path("params.yaml").read_text()
    stage.reproduce("first", print)
    Path("params.yaml").write_text(params.replace("first: {value: 1}", "first: {value: 9}"))
    stage.reproduce("first", print)
    Path("params.yaml").write_text(params)
    assert stage.reproduce("first", print).state == "restored"


def test_the_environment_reaches_the_stage(toy, script):
    script("import os; open('one.txt', 'w').write(os.environ['PYRAMID_PIPELINE_RUN'])")
    stage.reproduce("first", print, {"PYRAMID_PIPELINE_RUN": "tuesday"})
    assert Path("one.txt").read_text() == "tuesday"


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [("sys.exit(75)", 75), ("os.kill(os.getpid(), signal.SIGTERM)", 143)],
)
def test_a_failure_keeps_the_stages_exit_code_and_words(toy, script, end, exit_code):
    script(f"import os, signal, sys; print('error: no luck', flush=True); {end}")
    with pytest.raises(StageFailed, match="stage 'first': no luck") as error:
        stage.reproduce("first", print)
    assert error.value.exit_code == exit_code


def test_the_error_that_ends_a_stage_is_left_to_its_caller_with_all_its_lines(toy, script):
    script("import sys; print('first: begins'); sys.exit('error: two values:\\n  a: 1\\n  b: 2')")
    lines = []
    with pytest.raises(StageFailed) as error:
        stage.reproduce("first", lines.append)
    assert lines == ["\n== first ==", "first: begins"]
    assert str(error.value) == "stage 'first': two values:\n  a: 1\n  b: 2"


@pytest.mark.parametrize("end", ["0", "2"])
def test_an_error_that_does_not_end_a_stage_is_said_in_its_place(toy, script, end):
    print_all = "print('error: one file', '  of two', 'the other is read', sep=chr(10))"
    script(f"import sys; open('one.txt', 'w').write('1'); {print_all}; sys.exit({end})")
    lines = []
    with contextlib.suppress(StageFailed):
        stage.reproduce("first", lines.append)
    assert lines == ["\n== first ==", "error: one file", "  of two", "the other is read"]


@pytest.mark.parametrize(
    ("exit_code", "again"),
    [(1, False), (2, False), (3, False), (4, True), (75, True), (130, False), (137, True)],
)
def test_only_what_failed_from_outside_is_worth_a_retry(exit_code, again):
    assert StageFailed("", exit_code).is_retryable == again


def test_a_failure_of_dvc_itself_is_reported_in_its_words(toy):
    with pytest.raises(StageFailed, match=r"one\.txt"):
        stage.reproduce("second", print)


SAVES_WHEN_STOPPED = """
import os, pathlib, signal, sys, time
def save(*_):
    time.sleep(1)
    pathlib.Path('saved').touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print('at work', flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel to pass a parent's death on")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_who_started_it_but_may_save_first(toy, script, how):
    script(SAVES_WHEN_STOPPED)
    # As `pyramid` does: dvc does not pass its own end on.
    text = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(
        text.replace("cmd: python first.py", "cmd: exec python -m flows.child first")
    )
    command = (  # a shell's background jobs ignore ctrl-C, and so would this one
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from flows.stages import stage; stage.reproduce('first', lambda l: print(l, flush=True))"
    )
    environment = stage.environment_of_stages() | {"PYTHONPATH": f"{Path.cwd()}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert "at work\n" in iter(process.stdout.readline, "")
        os.kill(process.pid, how)
    deadline = time.monotonic() + 10
    while not Path("saved").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


ROOT = Path(__file__).parents[3]
