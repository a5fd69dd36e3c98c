"""`pyramid rehearse`: every stage on a few pictures, measured, in a folder of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pdm import params, presets
from pdm.cli import main
from pdm.errors import BadInput
from pdm.params.override import override
from pdm.rehearsal.processes import run
from pdm.rehearsal.rehearse import rehearse, steps
from pdm.rehearsal.results import Rehearsal, Row, conclusion, line_of, raise_failure
from pdm.rehearsal.settings import real_text, rehearsal_text

PRESETS = list(presets.descriptions())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_rehearsed_at_its_own_size(name):
    text = real_text(name, Path("params.yaml"))
    real = params.parse(text, Path("real"))
    rehearsed = params.parse(rehearsal_text(text, None), Path("rehearsed"))
    for part in ("autoencoder", "diffusion"):
        one, other = getattr(real, part), getattr(rehearsed, part)
        assert one.model == other.model
        assert one.training.precision == other.training.precision
        assert other.training.total_images == 2 * other.training.batch_size
        assert other.training.accumulation == 2
    assert rehearsed.autoencoder.image_width_px == real.autoencoder.image_width_px
    assert rehearsed.curate.width_px == real.curate.width_px
    assert rehearsed.sample.steps == 2


def test_pictures_and_networks_are_named_by_absolute_paths(tmp_path):
    text = real_text("tiny", Path("params.yaml"))
    found = params.parse(rehearsal_text(text, Path("some/pictures")), Path("rehearsed"))
    assert found.scrape.sources[0].path == str(Path("some/pictures").absolute())


def test_what_a_rehearsal_cannot_have_is_left_out():
    changes = [
        "curate.people={min_faces: 1, max_faces: 2, min_face_share: 0.1}",
        "curate.content={like: good, unlike: bad, min_likeness: 0.5}",
        "sample.guidance_scale=2.0",
        f"sample.guide={{kind: model, path: other, sha256: {'a' * 64}}}",
        f"diffusion.init_from={{path: other, sha256: {'a' * 64}}}",
        "diffusion.lora={rank: 2, alpha: 2}",
    ]
    text, _ = override(real_text("tiny", Path("params.yaml")), changes)
    alone = params.parse(rehearsal_text(text, None), Path("rehearsed"))
    assert (alone.curate.people, alone.curate.content, alone.sample.guide) == (None, None, None)
    assert (alone.diffusion.init_from, alone.diffusion.lora) == (None, None)
    shown = params.parse(rehearsal_text(text, Path("pictures")), Path("rehearsed")).curate
    assert shown.people.max_faces == 2
    assert shown.content.like == str(Path("good").absolute())
    assert shown.content.unlike == str(Path("bad").absolute())


def test_all_stages_are_rehearsed_in_the_order_of_the_pipeline():
    names = list(dict.fromkeys(step.stage for step in steps()))
    assert names == [
        "scrape",
        "curate",
        "shard",
        "autoencoder",
        "latents",
        "diffusion",
        "sample",
        "evaluate",
    ]
    assert [step.name for step in steps() if step.interrupt] == [
        "autoencoder, interrupted",
        "diffusion, interrupted",
    ]


def write_module(folder, text):
    (folder / "work.py").write_text(text)


def test_memory_and_time_of_a_command_are_measured_with_its_children(tmp_path):
    child = "import time; kept = bytearray(200 * 2**20); time.sleep(2)"
    write_module(
        tmp_path, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    )
    found = run(["work"], tmp_path)
    assert found.exit_code == 0
    assert found.host_bytes > 200 * 2**20
    assert found.seconds >= 2


def test_a_command_that_takes_too_much_memory_is_stopped(tmp_path):
    write_module(tmp_path, "import time; kept = bytearray(300 * 2**20); time.sleep(60)")
    found = run(["work"], tmp_path, max_bytes=200 * 2**20)
    assert found.exit_code == 4
    assert "more than 0.2 GiB" in found.error
    assert found.seconds < 50


def test_an_interruption_arrives_once_the_command_can_handle_it(tmp_path):
    write_module(
        tmp_path,
        "import signal, sys, time\n"
        "time.sleep(1)\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "time.sleep(60)",
    )
    found = run(["work"], tmp_path, interrupt=True)
    assert (found.exit_code, found.error) == (75, "")


def test_a_failing_command_gives_its_last_error_and_its_exit_code(tmp_path):
    write_module(tmp_path, "import sys; print('error: no pictures', file=sys.stderr); sys.exit(3)")
    found = run(["work"], tmp_path)
    assert (found.exit_code, found.error) == (3, "no pictures")


def test_a_command_that_the_system_kills_is_named_by_its_signal(tmp_path):
    write_module(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    found = run(["work"], tmp_path)
    assert found.exit_code == 4
    assert "SIGKILL" in found.error
    assert "out of memory" in found.error


def test_the_settings_of_the_users_project_do_not_reach_a_command(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "PYRAMID_ROOT", "DVC_STAGE", "RANK"):
        monkeypatch.setenv(name, "theirs")
    write_module(tmp_path, "import os, sys; sys.exit('theirs' in os.environ.values())")
    assert run(["work"], tmp_path).exit_code == 0


@pytest.mark.parametrize("wrong", [("--preset", "huge"), ("--pictures", "nowhere")])
def test_nothing_but_the_error_is_printed_if_no_stage_can_run(wrong, capsys):
    assert main(["rehearse", *wrong]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("error: ")) == ("", 1)


def test_a_stage_that_fails_ends_the_rehearsal_with_its_line_its_table_and_its_code(
    tmp_path, capsys
):
    (tmp_path / "pictures").mkdir()
    kept = tmp_path / "kept"
    words = ["rehearse", "--preset", "tiny", "--keep", str(kept), "--json"]
    assert main([*words, "--pictures", str(tmp_path / "pictures")]) == 2
    printed = capsys.readouterr()
    assert "scrape" in printed.out
    assert printed.err.count("error: ") == 1
    assert "error: scrape: " in printed.err
    last = json.loads(printed.out.strip().splitlines()[-1])
    assert [row["name"] for row in last["rows"]] == ["scrape"]
    assert last["exit_code"] == 2


def test_a_rehearsal_that_is_ended_leaves_no_process_and_no_folder(tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    environment = os.environ | {"TMPDIR": str(place)}
    command = [sys.executable, "-m", "pdm", "rehearse", "--preset", "tiny"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not (children := psutil.Process(process.pid).children()):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    assert process.wait(60) == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert list(place.glob("pyramid-rehearsal-*")) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(BadInput, match="not an empty folder"):
        next(iter(rehearse("tiny", Path("params.yaml"), keep=tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_table_says_what_was_measured_and_what_fits():
    row = Row("diffusion, resumed", 12.3, 2**30, None, 2**20, 0, 0.5, 7200)
    assert line_of(row).split() == [
        *("diffusion,", "resumed", "12.3", "1.00", "-", "1.0"),
        *("2:00:00", "(0.5", "images/s)"),
    ]
    batch = {
        "micro_batch_size": 8,
        "predicted_bytes": 2**30,
        "available_bytes": 2**31,
        "measured_bytes": 2**30,
        "seconds": 3.0,
        "too_large": [16],
    }
    text = conclusion(Rehearsal([row], {"diffusion": batch}))
    assert text == (
        "diffusion: a micro-batch of 8 fits in 2.00 GiB; predicted 1.00 GiB, tried: 1.00 GiB, 3 s; "
        "too many when tried: 16"
    )
    raise_failure(Rehearsal([row]))


@pytest.mark.slow
def test_a_tiny_rehearsal_runs_every_stage_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "pdm", "rehearse", "--preset", "tiny", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=900
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert [row["name"] for row in found["rows"]] == [step.name for step in steps()]
    codes = {row["name"]: row["exit_code"] for row in found["rows"]}
    assert {name for name, code in codes.items() if code} == {
        "autoencoder, interrupted",
        "diffusion, interrupted",
    }
    assert all(batch["micro_batch_size"] for batch in found["batches"].values())
    assert list(tmp_path.iterdir()) == []
