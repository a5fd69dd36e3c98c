"""Files of a checkpoint whose tensors are sharded over workers (`strategy: fsdp`).

Each worker writes its own shards, by torch.distributed.checkpoint (DCP), into safetensors files
in the folder `shards/` of the checkpoint; no file is a pickle. Any number of workers can read them,
with sharded tensors or whole ones. A tensor's name there is FILE/NAME, such as ema/entry.weight.
The functions that read also take checkpoints of whole tensors, with one file FILE.safetensors each.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed
from torch.distributed import ProcessGroup
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)

from pdm.files import sha256_of
from pdm.training.distributed.sharded import shard_like

SHARDS = "shards"  # folder inside a checkpoint
BYTES_PER_FILE = 2**24


def write_shards(
    checkpoint: Path, files: Mapping[str, Mapping[str, Tensor]], group: ProcessGroup
) -> dict[str, str]:
    """Write this worker's shards. Every worker of the group must call this.

    Args:
        checkpoint: Folder that exists, on storage that all workers share.
        files: Sharded tensors and whole ones, which must be equal on all workers.
        group: Used by nobody else meanwhile, since this may run in a thread.

    Returns:
        sha256 of each file that any worker wrote, by its path in the checkpoint.

    Raises:
        OSError: A worker could not write; raised on all of them.
    """
    folder = checkpoint / SHARDS
    rank, count = distributed.get_rank(group), distributed.get_world_size(group)
    tensors = _by_full_name(files)
    writer = HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=_file_numbers(tensors, count), save_distributed=True
    )
    try:
        state_dict_saver.save(tensors, storage_writer=writer, process_group=group)
    except CheckpointException as error:
        raise OSError(_reason(error)) from error
    # DCP numbers the workers' files from one.
    mine = {f"{SHARDS}/{one.name}": sha256_of(one) for one in folder.glob(f"shard-{rank + 1:05}-*")}
    digests: list[dict[str, str]] = [{}] * count
    distributed.all_gather_object(digests, mine, group=group)
    return {name: digest for one in digests for name, digest in one.items()}


def shapes_in(checkpoint: Path, file: str) -> dict[str, torch.Size]:
    """Shapes of the whole tensors of a file, by name."""
    if not (checkpoint / SHARDS).is_dir():
        with safe_open(checkpoint / f"{file}.safetensors", framework="pt") as tensors:
            names = list(tensors.keys())
            return {name: torch.Size(tensors.get_slice(name).get_shape()) for name in names}
    found = HuggingFaceStorageReader(str(checkpoint / SHARDS)).read_metadata().state_dict_metadata
    named = ((name.partition("/"), one) for name, one in found.items())
    return {name: one.size for (of, _, name), one in named if of == file}  # type: ignore[union-attr]


@torch.no_grad()
def read_into(
    checkpoint: Path, file: str, tensors: Mapping[str, Tensor], group: ProcessGroup | None
) -> None:
    """Fill tensors, sharded or whole, with those of the same names in a checkpoint. Of sharded
    tensors each worker reads its own part, so all workers must call this.

    Args:
        checkpoint: Folder of a checkpoint of either kind.
        file: Name of the file, without its extension.
        tensors: All or some of those in the file.
        group: The group of the sharded tensors; None if all are whole.

    Raises:
        KeyError: The file lacks one of them.
        ValueError: A shape differs.
        OSError, SafetensorError: A file is missing or damaged.
    """
    known = shapes_in(checkpoint, file)
    for name, tensor in tensors.items():
        if known[name] != tensor.shape:
            raise ValueError(f"{file}/{name} is {tuple(known[name])}, not {tuple(tensor.shape)}")
    if (checkpoint / SHARDS).is_dir():
        _load_shards(checkpoint / SHARDS, _by_full_name({file: tensors}), group)
        return
    with safe_open(checkpoint / f"{file}.safetensors", framework="pt") as stored:
        for name, tensor in tensors.items():  # one whole tensor in memory at a time
            tensor.copy_(shard_like(tensor, stored.get_tensor(name)))


def _load_shards(folder: Path, tensors: dict[str, Tensor], group: ProcessGroup | None) -> None:
    reader = HuggingFaceStorageReader(str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one process reads alone is no mistake here
        try:
            state_dict_loader.load(
                tensors, storage_reader=reader, process_group=group, no_dist=group is None
            )
        except CheckpointException as error:
            raise OSError(_reason(error)) from error


def load_whole(checkpoint: Path, file: str) -> dict[str, Tensor]:
    """Load all tensors of a file, whole, on the CPU. One process alone can call this."""
    if not (checkpoint / SHARDS).is_dir():
        return load_file(checkpoint / f"{file}.safetensors")
    tensors = {name: torch.empty(shape) for name, shape in shapes_in(checkpoint, file).items()}
    read_into(checkpoint, file, tensors, None)
    return tensors


def whole_file(checkpoint: Path, file: str, scratch: Path) -> Path:
    """A safetensors file with the whole tensors: that of the checkpoint, or one in `scratch`."""
    path = checkpoint / f"{file}.safetensors"
    if path.is_file():
        return path
    scratch.mkdir(parents=True, exist_ok=True)
    save_file(load_whole(checkpoint, file), scratch / path.name)
    return scratch / path.name


def _by_full_name(files: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{file}/{name}": tensor.detach()
        for file, tensors in files.items()
        for name, tensor in tensors.items()
    }


def _file_numbers(tensors: Mapping[str, Tensor], num_workers: int) -> dict[str, int]:
    """Number the files that the tensors go to, the same on all workers. A worker's part of a file
    is about `BYTES_PER_FILE` or less, since the writer holds copies of a whole file in memory."""
    numbers, total = {}, 0
    for name, tensor in tensors.items():
        numbers[name] = 1 + total // (num_workers * BYTES_PER_FILE)
        total += tensor.numel() * tensor.element_size()
    return numbers


def _reason(error: CheckpointException) -> str:
    """The first worker's own error; DCP's message is a traceback."""
    rank, (failure, _) = next(iter(error.failures.items()))
    return f"worker {rank}: {' '.join(str(failure).split())[:300]}"
