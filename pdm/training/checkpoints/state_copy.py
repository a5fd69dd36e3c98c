"""A copy of a training state in CPU memory, to be written while training continues.

model.safetensors ema.safetensors optimizer.safetensors state.json
discriminator.safetensors if there is a discriminator
MANIFEST.json     sha256 of each file; written last
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pdm.files import atomic_folder, sha256_of, write_json
from pdm.training.distributed.sharded import full_tensor

MANIFEST = "MANIFEST.json"


@dataclass(frozen=True)
class StateCopy:
    """The contents of a checkpoint.

    Args:
        files: Tensors on the CPU, by file (without its suffix) and name.
        images_seen: Images seen by all workers together.
    """

    files: dict[str, dict[str, Tensor]]
    images_seen: int

    def write(self, folder: Path) -> None:
        """Write the folder atomically; equal states give equal bytes."""
        with atomic_folder(folder) as temporary:
            for name, tensors in self.files.items():
                plain = {key: tensor.contiguous() for key, tensor in tensors.items()}
                save_file(plain, temporary / f"{name}.safetensors")
            write_json(temporary / "state.json", {"images_seen": self.images_seen})
            digests = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
            write_json(temporary / MANIFEST, digests)


class HostMemory:
    """CPU memory that is reused for each copy, since allocating pages costs more than copying. A
    copy is valid until the next one is made."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], Tensor] = {}

    def copy(self, files: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        """Copy the tensors to the CPU, unsharded; the copy is complete when this returns."""
        copied = {
            file: {name: self._copy_tensor(file, name, tensor) for name, tensor in tensors.items()}
            for file, tensors in files.items()
        }
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return copied

    def _copy_tensor(self, file: str, name: str, part: Tensor) -> Tensor:
        tensor = full_tensor(part.detach())
        kept = self._buffers.get((file, name))
        if kept is None or kept.shape != tensor.shape:
            # Pinned memory lets the device copy many tensors without waiting for each.
            kept = torch.empty_like(
                tensor, device="cpu", pin_memory=tensor.is_cuda, requires_grad=False
            )
            self._buffers[file, name] = kept
        return kept.copy_(tensor, non_blocking=True)
