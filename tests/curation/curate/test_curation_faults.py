"""Kills and full disks while crops are cut and kept, each done for real."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from curation_pictures import CURATE, SHARD, but, jpeg, scene, write_raw

from pdm.curation.curate import curate
from pdm.curation.shard import shard
from pdm.curation.shard.crops import CropCache
from pdm.curation.shard.write import write_shard
from pdm.data import decisions as tables
from pdm.disk_full import DiskFull
from pdm.errors import QualityGate, Unavailable
from pdm.files import atomic_folder, sha256_of

NUM_PICTURES = 6
LOSSLESS = but(SHARD, encoding="png")
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pdm.curation.shard.write"])


@pytest.fixture(scope="module")
def judged(tmp_path_factory, ray_cluster):
    """A folder with raw pictures and the decisions about them."""
    folder = tmp_path_factory.mktemp("faults")
    pictures = {f"scene-{number}": jpeg(scene(number)) for number in range(NUM_PICTURES)}
    write_raw(folder / "raw", pictures)
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    return folder


def kept_rows(judged):
    return [row for row in tables.load(judged / "decisions") if row["outcome"] == "kept"]


def write(judged, folder, rows):
    """What the workers of the stage do: two shards, and a crop in the cache for each picture."""
    crops = CropCache(folder / "crops", LOSSLESS)
    with atomic_folder(folder / "shards") as temporary:
        for number in range(2):
            path = temporary / f"train-{number:06}.tar"
            write_shard(path, rows[number::2], "train", judged / "raw", LOSSLESS, crops, False, ())


def digests(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.glob("**/*")) if path.is_file()}


def started(function, *arguments):
    process = forks.Process(target=function, args=arguments)
    process.start()
    return process


def write_and_die(judged, folder, rows, operation):
    """Write, and be killed just before the given file operation."""
    left = operation

    def count(event, arguments):
        nonlocal left
        watched = event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
        if watched and str(folder) in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    write(judged, folder, rows)


def die_at_each_operation(judged, folder, rows, expected, num_operations):
    """Fork writers from nothing that die one operation later each time, until one is done; each is
    followed by one that is left alone."""
    for operation in range(300):
        child = os.fork()
        if not child:
            write_and_die(judged, folder, rows, operation)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert not (folder / "shards").exists() or digests(folder / "shards") == expected
        write(judged, folder, rows)
        assert digests(folder / "shards") == expected, operation
        shutil.rmtree(folder)
        if status == 0:
            num_operations.put(operation)
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_kill_before_any_file_operation_leaves_complete_crops_or_none(judged, tmp_path):
    rows = kept_rows(judged)[:3]
    write(judged, tmp_path / "clean", rows)
    expected = digests(tmp_path / "clean" / "shards")
    num_operations = forks.Queue()
    arguments = (judged, tmp_path / "killed", rows, expected, num_operations)
    process = started(die_at_each_operation, *arguments)
    process.join()
    assert process.exitcode == 0
    assert num_operations.get(timeout=5) > 15


def test_kills_at_random_instants_end_with_the_same_bytes(judged, tmp_path):
    rows = kept_rows(judged)
    write(judged, tmp_path / "clean", rows)
    instants = random.Random(0)
    folder = tmp_path / "killed"
    for _ in range(10):
        process = started(write, judged, folder, rows)
        process.join(instants.uniform(0.01, 0.15))
        process.kill()
        process.join()
    write(judged, folder, rows)
    assert digests(folder / "shards") == digests(tmp_path / "clean" / "shards")
    assert CropCache(folder / "crops", LOSSLESS).prune(rows) == []
    assert digests(folder / "crops") == digests(tmp_path / "clean" / "crops")


def test_a_killed_stage_resumes_from_its_finished_crops(judged, tmp_path, caplog):
    program = """
import sys
from pathlib import Path
from curation_pictures import SHARD, but
from pdm.curation.shard import shard
judged, out = Path(sys.argv[1]), Path(sys.argv[2])
shard(but(SHARD, encoding="png"), raw=judged / "raw", decisions=judged / "decisions",
      shards=out / "shards", report=out / "report.html", cache=out / "crops")
"""
    environment = {
        "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
        "PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[3]}",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program, judged, tmp_path], env=os.environ | environment
    )
    while not list(tmp_path.glob("crops/*/[0-9a-f]*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    caplog.set_level("INFO")
    stage(judged, tmp_path, cache=tmp_path / "crops")
    assert f"({NUM_PICTURES} new" not in caplog.text
    stage(judged, tmp_path / "clean", cache=None)
    assert digests(tmp_path / "shards") == digests(tmp_path / "clean" / "shards")


def stage(judged, out, cache, config=LOSSLESS, **elsewhere):
    paths = {"raw": judged / "raw", "decisions": judged / "decisions"}
    paths |= {"shards": out / "shards", "report": out / "report.html"}
    shard(config, **paths | elsewhere, cache=cache)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 KiB: two crops fit, six do not."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_ends_the_stage_and_stored_crops_are_intact(
    judged, tmp_path, small_disk, caplog
):
    with pytest.raises(Unavailable, match="filled up"):
        stage(judged, tmp_path / "out", cache=small_disk / "crops")
    assert not (tmp_path / "out" / "shards").exists()
    names = [path.name for path in small_disk.glob("crops/*/*")]
    assert names
    assert not [name for name in names if name.startswith(".")]

    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    caplog.set_level("INFO")
    stage(judged, tmp_path / "out", cache=small_disk / "crops")
    assert f"{NUM_PICTURES - len(names)} new, {len(names)} unchanged" in caplog.text
    stage(judged, tmp_path / "clean", cache=None)
    assert digests(tmp_path / "out" / "shards") == digests(tmp_path / "clean" / "shards")


@pytest.mark.parametrize("output", ["table", "report"])
def test_a_full_disk_of_the_table_or_the_report_is_named_and_the_next_run_goes_on(
    judged, tmp_path, small_disk, output
):
    path, ballast = small_disk / output, small_disk / "ballast"
    path.write_text("of an earlier run")
    ballast.write_bytes(bytes(152 * 1024))
    with pytest.raises(DiskFull, match=r"the disk is full, .* free: ") as caught:
        stage(judged, tmp_path, cache=tmp_path / "crops", **{output: path})
    assert caught.value.filename == str(path)
    assert sorted(small_disk.iterdir()) == [ballast, path]
    assert path.read_text() == "of an earlier run"

    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    stage(judged, tmp_path, cache=tmp_path / "crops", **{output: path})
    stage(judged, tmp_path / "clean", cache=None, **{output: tmp_path / "clean" / output})
    assert path.read_bytes() == (tmp_path / "clean" / output).read_bytes()
    assert digests(tmp_path / "shards") == digests(tmp_path / "clean" / "shards")


def test_a_disk_that_scores_fill_is_reported_and_leaves_complete_parts(
    judged, tmp_path, small_disk
):
    (small_disk / "ballast").write_bytes(bytes(150 * 1024))
    with pytest.raises(DiskFull, match=r"the disk is full, .* free: .*/scores/"):
        curate(CURATE, raw=judged / "raw", decisions=tmp_path / "out", cache=small_disk / "scores")
    assert not (tmp_path / "out").exists()
    assert not list(small_disk.glob("scores/*/*"))
    (small_disk / "ballast").unlink()
    curate(CURATE, raw=judged / "raw", decisions=tmp_path / "out", cache=small_disk / "scores")
    assert digests(tmp_path / "out") == digests(judged / "decisions")


def test_a_second_run_at_once_is_refused_before_it_looks_at_anything(judged, tmp_path):
    refused = pytest.raises(Unavailable, match=f"is being written by process {os.getpid()}")
    with atomic_folder(tmp_path / "decisions"), refused:
        curate(
            CURATE,
            raw=judged / "raw",
            decisions=tmp_path / "decisions",
            cache=tmp_path / "scores",
        )
    assert not (tmp_path / "scores").exists()


def test_limits_that_keep_nothing_leave_the_old_version_and_say_why(judged, tmp_path):
    shutil.copytree(judged / "decisions", tmp_path / "decisions")
    with pytest.raises(QualityGate, match=rf"0 kept; dropped .*dark {NUM_PICTURES}"):
        curate(
            but(CURATE, min_brightness=0.9),
            raw=judged / "raw",
            decisions=tmp_path / "decisions",
            cache=tmp_path / "scores",
        )
    assert digests(tmp_path / "decisions") == digests(judged / "decisions")
