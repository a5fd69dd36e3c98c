"""Parts on two workers of a real local Ray."""

import os
import sys

import pytest
import ray
from ray import cloudpickle
from shared.folders import file_digests
from tiny_chain import LATENTS, SAMPLE

from pdm.errors import QualityGate
from pdm.inference.encode import encode_shards
from pdm.inference.sample import sample_images
from pdm.machine.limits import usable_cpus
from pdm.parallel.part_folder import part_folder
from pdm.parallel.run import call_with_gpu, run_parts

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


pytestmark = pytest.mark.usefixtures("ray_cluster")


def write_parts(task, parts, on_done):
    for part in parts:
        if part == task["bad"]:
            raise QualityGate(f"{part} is bad")
        if part == task["deadly"] and not (task["folder"].files / "died").exists():
            import os

            (task["folder"].files / "died").touch()
            os.kill(os.getpid(), 9)
        (task["folder"].files / part).write_text(part)
        task["folder"].finish(part, part)
        on_done(part)


def run(path, **faults):
    reported = []
    with part_folder(path, "key") as folder:
        task = {"folder": folder.absolute(), "bad": None, "deadly": None} | faults
        run_parts(
            write_parts, task, list("abcde"), folder=folder, on_done=reported.append, num_workers=2
        )
    return sorted(reported)


def test_every_part_is_made_once_and_reported(tmp_path):
    assert run(tmp_path / "whole") == list("abcde")
    assert sorted(file.name for file in (tmp_path / "whole").iterdir()) == list("abcde")


def test_a_lost_worker_is_replaced_and_goes_on(tmp_path):
    assert run(tmp_path / "whole", deadly="c") == list("abcde")


def test_an_expected_error_has_its_own_kind_and_text_and_finished_parts_stay(tmp_path):
    with pytest.raises(QualityGate, match=r"^d is bad$"):
        run(tmp_path / "whole", bad="d")
    assert not (tmp_path / "whole").exists()
    assert "b" not in run(tmp_path / "whole")


def test_latents_and_samples_of_two_workers_are_those_of_one_process(chain, one_thread, tmp_path):
    for name, num_workers in (("here", 0), ("two", 2)):
        folders = {"shards": chain.shards, "autoencoder": chain.autoencoder}
        encode_shards(
            LATENTS, **folders, latents=tmp_path / name / "latents", num_workers=num_workers
        )
        sample_images(
            SAMPLE,
            **folders,
            diffusion=chain.diffusion,
            samples=tmp_path / name / "samples",
            num_workers=num_workers,
        )
    assert file_digests(tmp_path / "here") == file_digests(tmp_path / "two")


def write_cpus(task, parts, on_done):
    all_cpus = os.sched_getaffinity
    os.sched_getaffinity = lambda process: range(16)  # as on a large machine
    try:
        for part in parts:
            (task.files / part).write_text(str(usable_cpus()))
            task.finish(part, part)
    finally:
        os.sched_getaffinity = all_cpus


def test_a_task_uses_only_the_cpus_that_ray_gave_it(tmp_path):
    """Else each would decode with as many threads as the whole machine has cores."""
    with part_folder(tmp_path / "whole", "key") as folder:
        run_parts(
            write_cpus,
            folder.absolute(),
            list("ab"),
            folder=folder,
            on_done=lambda part: None,
            num_workers=2,
        )
    cpus = int(ray.cluster_resources()["CPU"]) // 2
    assert {(tmp_path / "whole" / part).read_text() for part in "ab"} == {str(cpus)}


def test_a_call_needs_a_gpu_of_the_cluster_or_happens_here(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "any: this process has joined one")
    assert call_with_gpu(os.getpid) == os.getpid()  # the cluster has none
