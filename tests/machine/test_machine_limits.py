import os

import psutil
import pytest

from pdm.machine.limits import usable_cpus, usable_memory

GIB = 2**30


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def write_limits(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def test_without_a_limit_it_is_what_the_machine_has(tmp_path):
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))
    assert usable_memory(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    unlimited = write_limits(tmp_path, cpu__max="max 100000\n", memory__max="max\n")
    assert usable_cpus(unlimited) == len(os.sched_getaffinity(0))
    assert usable_memory(unlimited) > 0


def test_a_container_has_the_cpus_of_its_limit(tmp_path):
    assert usable_cpus(write_limits(tmp_path, cpu__max="100000 100000\n")) == 1
    assert usable_cpus(write_limits(tmp_path, cpu__max="50000 100000\n")) == 1  # never none


def test_a_container_has_the_memory_of_its_limit_and_files_in_its_cache_count_as_free(tmp_path):
    limits = write_limits(
        tmp_path,
        memory__max=f"{GIB}\n",
        memory__current=f"{GIB // 2}\n",
        memory__stat=f"anon 1\ninactive_file {GIB // 4}\nfile 3\n",
    )
    assert usable_memory(limits) == GIB - GIB // 2 + GIB // 4


def test_limits_of_the_first_version_of_control_groups_hold_too(tmp_path):
    for name in ("cpu", "memory"):
        (tmp_path / name).mkdir()
    write_limits(tmp_path / "cpu", cpu__cfs_quota_us="100000\n", cpu__cfs_period_us="100000\n")
    write_limits(
        tmp_path / "memory", memory__limit_in_bytes=f"{GIB}\n", memory__usage_in_bytes="0\n"
    )
    assert usable_cpus(tmp_path) == 1
    assert usable_memory(tmp_path) == GIB


def test_workers_on_one_machine_share_it(tmp_path, monkeypatch):
    limits = write_limits(tmp_path, memory__max=f"{GIB}\n", memory__current="0\n")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert usable_memory(limits) == GIB // 8
    assert usable_cpus(limits) == max(1, len(os.sched_getaffinity(0)) // 8)


def test_a_task_has_the_cpus_that_it_was_given_and_so_have_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(16))
    assert usable_cpus(tmp_path) == 16
    monkeypatch.setenv("PYRAMID_CPUS_OF_TASK", "4")
    assert usable_cpus(tmp_path) == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")  # a worker's part is counted once
    assert usable_cpus(tmp_path) == 2
