"""Kills, full and read-only disks, second writers, clocks and locales, each done for real.

A server process imports the writers once and forks; each fork writes a folder of shards as the
stage does, and is killed or starved in it.
"""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from pdm.data.order import images_at, share
from pdm.data.shards import manifest, tars
from pdm.disk_full import DiskFull
from pdm.errors import Unavailable
from pdm.files import atomic_folder, sha256_of, write_json

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["pdm.data.shards.tars", "pdm.data.shards.manifest"])

KIB_PER_PICTURE = 200


def write(folder):
    """Three shards, the last short, and their manifest: the same bytes each time."""
    with atomic_folder(folder) as temporary:
        shards = []
        for number, count in enumerate((3, 3, 1)):
            path = temporary / f"train-{number:06}.tar"
            source = random.Random(number)
            samples = [
                (f"{row:04}", {"bin": source.randbytes(KIB_PER_PICTURE * 1024), "json": b"{}"})
                for row in range(count)
            ]
            tars.write_tar(path, samples)
            shards.append(manifest.Shard.of(path, count))
        manifest.Manifest({"train": shards}, {}).save(temporary)


def write_and_die(folder, operation):
    """Write, and be killed just before the given file operation."""
    left = operation
    watched = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")

    def count(event, arguments):
        nonlocal left
        if event in watched and str(folder.parent) in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    write(folder)


def die_at_each_operation(folder, clean, num_operations):
    """Fork writers that die one operation later each time, until one is done."""
    for operation in range(200):
        child = os.fork()
        if not child:
            write_and_die(folder, operation)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert is_whole_or_absent(folder, clean), operation
        if status == 0:
            num_operations.put(operation)
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def write_within(folder, max_file_bytes, errors):
    """Write where no file may grow beyond a size; the error's number goes into a queue."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    try:
        write(folder)
    except OSError as error:
        errors.put(error.errno)


def write_slowly(folder, writing):
    """Write until told to stop; the parent kills this or terminates it."""
    with atomic_folder(folder):
        writing.set()
        time.sleep(60)


def started(function, *arguments):
    process = forks.Process(target=function, args=arguments)
    process.start()
    return process


def digests(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean") / "shards"
    write(folder)
    return digests(folder)


def is_whole_or_absent(folder, clean):
    return not folder.exists() or digests(folder) == clean


# kills


def test_a_kill_before_any_file_operation_leaves_whole_shards_and_the_next_run_heals(
    tmp_path, clean
):
    """Every operation in turn, the renames and the manifest's among them."""
    folder = tmp_path / "shards"
    num_operations = forks.Queue()
    killed = started(die_at_each_operation, folder, clean, num_operations)
    killed.join()
    assert killed.exitcode == 0
    assert num_operations.get(timeout=5) > 20
    assert digests(folder) == clean
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def test_kills_at_random_instants_leave_whole_shards_and_the_same_bytes_in_the_end(tmp_path, clean):
    folder = tmp_path / "shards"
    instants = random.Random(0)
    for _ in range(20):
        process = started(write, folder)
        process.join(instants.uniform(0.01, 0.2))
        process.kill()
        process.join()
        assert is_whole_or_absent(folder, clean)
    write(folder)
    assert digests(folder) == clean
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


# disks


@pytest.mark.parametrize("max_kib", [0, 1, 300])
def test_a_full_disk_keeps_the_old_shards_and_leaves_nothing_half_written(tmp_path, clean, max_kib):
    folder = tmp_path / "shards"
    write(folder)
    errors = forks.Queue()
    started(write_within, folder, max_kib * 1024, errors).join()
    assert errors.get(timeout=5)
    assert digests(folder) == clean
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, less than the shards need."""
    place = tmp_path / "disk"
    place.mkdir()
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_fills_up_is_left_empty_and_works_again_when_there_is_room(small_disk, clean):
    with pytest.raises(DiskFull, match=r"the disk is full, .* free: .*/shards"):
        write(small_disk / "shards")
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    write(small_disk / "shards")
    assert digests(small_disk / "shards") == clean


@pytest.mark.parametrize(
    ("limit", "said"),
    [("size=4k,nr_inodes=64", "the disk is full"), ("ro", "read-only file system")],
)
def test_the_command_ends_with_four_and_one_line(small_disk, limit, said):
    subprocess.run(["mount", "-o", f"remount,{limit}", str(small_disk)], check=True)
    program = f"""
        import sys
        from pathlib import Path
        from pdm import cli
        from tests_write import write
        def stage(args):
            write(Path("{small_disk}") / "shards")
        cli.STAGES["sample"] = (stage, {{}})
        sys.exit(cli.main(["sample"]))
    """.replace("tests_write", __name__)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__)},  # noqa: PTH120
    )
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert said in line
    assert list(small_disk.iterdir()) == []


def test_temporary_files_lie_on_the_same_disk_as_the_result(small_disk):
    """Or the last rename would copy, and could be seen half done."""
    with atomic_folder(small_disk / "shards") as temporary:
        assert temporary.stat().st_dev == small_disk.stat().st_dev
        assert temporary.stat().st_dev != small_disk.parent.stat().st_dev
    write_json(small_disk / "a.json", 1)


# two writers


def test_a_second_writer_is_refused_and_names_the_first(tmp_path):
    folder = tmp_path / "shards"
    writing = forks.Event()
    first = started(write_slowly, folder, writing)
    try:
        assert writing.wait(20)
        with pytest.raises(Unavailable, match=f"is being written by process {first.pid}"):
            write(folder)
        write(tmp_path / "others")
    finally:
        first.kill()
        first.join()


def test_the_lock_of_a_killed_writer_locks_nobody_out(tmp_path, clean):
    folder = tmp_path / "shards"
    writing = forks.Event()
    first = started(write_slowly, folder, writing)
    assert writing.wait(20)
    first.kill()
    first.join()
    assert (tmp_path / ".lock-shards").exists()
    write(folder)
    assert digests(folder) == clean
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


# the world around


@pytest.mark.parametrize(
    ("surroundings", "clock"),
    [
        ({"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "1"}, "0.0"),
        ({"TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "2"}, "4e9"),
    ],
)
def test_zone_locale_hash_seed_and_clock_do_not_show_in_the_bytes(
    tmp_path, clean, surroundings, clock
):
    program = f"""
        import os, time
        time.time = lambda: {clock}
        os.umask(0o077)
        from pathlib import Path
        from {__name__} import write
        write(Path(r"{tmp_path}") / "shards")
    """
    here = os.path.dirname(__file__)  # noqa: PTH120
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        env=os.environ | surroundings | {"PYTHONPATH": here},
    )
    assert digests(tmp_path / "shards") == clean


# few samples


def test_fewer_pictures_than_a_batch_of_all_workers_still_fill_it(tmp_path):
    """Nothing waits for more: positions run on into the next epoch."""
    batch = range(8)
    parts = [images_at(share(batch, worker, 2), 3, seed=0) for worker in range(2)]
    assert [len(part) for part in parts] == [4, 4]
    assert {int(index) for part in parts for index in part} == {0, 1, 2}


def test_an_empty_shard_and_a_short_one_are_listed_as_what_they_are(tmp_path):
    tars.write_tar(tmp_path / "train-000000.tar", [])
    tars.write_tar(tmp_path / "train-000001.tar", [("a", {"bin": b"x"})])
    shards = [manifest.Shard.of(tmp_path / f"train-{n:06}.tar", n) for n in range(2)]
    manifest.Manifest({"train": shards}, {}).save(tmp_path)
    assert manifest.load(tmp_path).num_samples("train") == 1
    assert tars.members(tmp_path / "train-000000.tar") == []
