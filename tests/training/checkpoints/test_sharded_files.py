"""Shards of two gloo workers in several files each, read whole and by another number of workers."""

from pathlib import Path

import torch
from shared.worker_groups import run_group
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor

from pdm.training.checkpoints import sharded_files

LENGTHS = {"a": 7, "b": 1, "c": 12, "d": 5}  # one worker has no part of "b"


def write(workers, folder: Path) -> int:
    sharded_files.BYTES_PER_FILE = 16
    group = distributed.new_group(backend="gloo")
    mesh = DeviceMesh.from_group(group, "cpu")
    tensors = {
        name: distribute_tensor(torch.arange(float(length)), mesh, [Shard(0)])
        for name, length in LENGTHS.items()
    }
    digests = sharded_files.write_shards(
        folder, {"model": tensors | {"scalar": torch.tensor(5.0)}}, group
    )
    return len(digests)


def test_one_process_reads_what_two_workers_wrote_into_several_files(tmp_path):
    first, second = run_group(2, write, tmp_path)
    assert first == second == len(list((tmp_path / "shards").iterdir())) > 4
    found = sharded_files.load_whole(tmp_path, "model")
    assert found.pop("scalar") == torch.tensor(5.0)
    assert {name: len(tensor) for name, tensor in found.items()} == LENGTHS
    assert all(torch.equal(one, torch.arange(float(len(one)))) for one in found.values())
