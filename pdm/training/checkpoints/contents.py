"""The contents of a checkpoint, written by a thread while training continues.

On a CPU they are the training's own tensors, so a checkpoint takes no memory to speak of. They stay
as they are while the checkpoint is scored and while the next gradient is computed; before the
optimizer's step, training waits until they have been read. On a GPU they are copied to CPU memory
first, if there is room.

model.safetensors ema.safetensors optimizer.safetensors state.json
discriminator.safetensors if there is a discriminator
shards/           in place of these files if the weights are sharded: see `sharded_files`
MANIFEST.json     sha256 of each file; written last
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import torch
from torch import Tensor, distributed
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from pdm.files import atomic_folder, sha256_of, write_json
from pdm.machine.limits import usable_memory
from pdm.tensor_file import write_tensors
from pdm.training.checkpoints.sharded_files import write_shards
from pdm.training.distributed.sharded import local_tensor

MANIFEST = "MANIFEST.json"


def _nothing(_: Path) -> None:
    pass


@dataclass(frozen=True)
class Contents:
    """The contents of a checkpoint, or one worker's part of them.

    Args:
        files: Tensors by file (without its suffix) and name. They must not change before `read` is
            set.
        images_seen: Images seen by all workers together.
        group: The workers whose parts make up the state; None if this is all of it.

    Attributes:
        read: Set as soon as `write` no longer needs the tensors, even if it fails.
    """

    files: dict[str, dict[str, Tensor]]
    images_seen: int
    group: ProcessGroup | None = None
    read: Event = field(default_factory=Event)

    @property
    def is_first(self) -> bool:
        """Whether this worker completes the folder."""
        return self.group is None or distributed.get_rank(self.group) == 0

    @property
    def is_whole(self) -> bool:
        """Whether `files` are all of the state, and not one worker's part."""
        return self.group is None

    def write(self, folder: Path, finish: Callable[[Path], None] = _nothing) -> None:
        """Write the folder atomically; equal states give equal bytes. With a group, all of its
        workers must call this, in the same order; it may run in a thread.

        Args:
            folder: On storage that all workers share.
            finish: Called on the first worker with the temporary folder, when it has all tensors.
                It may read `files`, if they are all of the state.

        Raises:
            OSError, SafetensorError: A file could not be written; raised on every worker.
        """
        try:
            if self.is_whole:
                self._write_all(folder, finish)
            elif self.is_first:
                self._write_first_part(folder, finish)
            else:
                self._write_part()
        finally:
            self.read.set()

    def _write_all(self, folder: Path, finish: Callable[[Path], None]) -> None:
        with atomic_folder(folder) as temporary:
            names = {name: f"{name}.safetensors" for name in sorted(self.files)}
            digests = {
                file: write_tensors(temporary / file, self.files[name])
                for name, file in names.items()
            }
            finish(temporary)
            self.read.set()
            self._complete(temporary, digests)

    def _write_first_part(self, folder: Path, finish: Callable[[Path], None]) -> None:
        """Name the temporary folder to the others, write a part, complete the folder, and say
        whether that has worked."""
        assert self.group is not None
        try:
            with atomic_folder(folder) as temporary:
                self._broadcast(str(temporary))
                digests = write_shards(temporary, self.files, self.group)
                self.read.set()
                finish(temporary)
                self._complete(temporary, digests)
        except BaseException:
            self._broadcast(None)
            raise
        self._broadcast("complete")

    def _write_part(self) -> None:
        assert self.group is not None
        place = self._broadcast(None)
        if place is None:
            raise OSError("worker 0 could not begin the checkpoint")
        try:
            write_shards(Path(place), self.files, self.group)
        finally:
            outcome = self._broadcast(None)
        if outcome is None:
            raise OSError("worker 0 could not complete the checkpoint")

    def _broadcast(self, message: str | None) -> str | None:
        """Send the first worker's message to all."""
        messages = [message]
        distributed.broadcast_object_list(messages, src=0, group=self.group)
        return messages[0]

    def _complete(self, folder: Path, digests: dict[str, str]) -> None:
        write_json(folder / "state.json", {"images_seen": self.images_seen})
        digests = digests | {"state.json": sha256_of(folder / "state.json")}
        write_json(folder / MANIFEST, dict(sorted(digests.items())))


class HostMemory:
    """CPU memory that is reused for each copy of a GPU's tensors, since allocating pages costs more
    than copying. A copy is valid until the next one is made.

    Args:
        mesh: The workers that share sharded tensors, with the CPU for their device; None if all
            tensors are whole.
    """

    def __init__(self, mesh: DeviceMesh | None) -> None:
        self._mesh = mesh
        self._buffers: dict[tuple[str, str], Tensor] = {}

    def has_room(self, files: dict[str, dict[str, Tensor]]) -> bool:
        """Whether a copy fits: the first one may take half of the memory that is free."""
        if self._buffers:
            return True
        tensors = (tensor for named in files.values() for tensor in named.values())
        return sum(map(_local_bytes, tensors)) <= usable_memory() // 2

    def copy(self, files: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """Copy the tensors to the CPU; of sharded tensors this worker's shards only. The copy is
        complete when this returns."""
        copied = {
            file: {name: self._copy_tensor(file, name, tensor) for name, tensor in tensors.items()}
            for file, tensors in files.items()
        }
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return copied

    def _copy_tensor(self, file: str, name: str, tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if not isinstance(tensor, DTensor):
            return self._copy_plain(file, name, tensor)
        assert self._mesh is not None
        return DTensor.from_local(
            self._copy_plain(file, name, tensor.to_local()),
            self._mesh,
            tensor.placements,
            run_check=False,
            shape=tensor.shape,
            stride=tensor.stride(),
        )

    def _copy_plain(self, file: str, name: str, tensor: Tensor) -> Tensor:
        kept = self._buffers.get((file, name))
        if kept is None or kept.shape != tensor.shape:
            # Pinned memory lets the device copy many tensors without waiting for each.
            kept = torch.empty_like(
                tensor, device="cpu", pin_memory=tensor.is_cuda, requires_grad=False
            )
            self._buffers[file, name] = kept
        return kept.copy_(tensor, non_blocking=True)


def _local_bytes(tensor: Tensor) -> int:
    here = local_tensor(tensor)
    return here.numel() * here.element_size()
