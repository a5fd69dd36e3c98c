"""Writes a safetensors file tensor by tensor, without a copy of all of them in memory.

`safetensors.torch.save_file` takes contiguous tensors only, so weights in channels_last layout
would have to be copied first, all at once. The format is described at
https://huggingface.co/docs/safetensors.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write the file; equal tensors give equal bytes.

    Args:
        path: Replaced if it exists; not atomically.
        tensors: By name, on any device and in any layout, with a dtype of `DTYPES`. Each is read
            once, and takes further memory only where it is not contiguous or not on the CPU.

    Returns:
        sha256 of the file, found without reading it again.

    Raises:
        OSError: The file cannot be written.
    """
    # Wider types first, so that every tensor is aligned in the file.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in _parts(ordered):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _parts(tensors: list[tuple[str, Tensor]]) -> Iterator[bytes | memoryview]:
    """Yield the content of the file."""
    yield _header(tensors)
    for _, tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        yield memoryview(plain.flatten().view(torch.uint8).numpy())


def _header(tensors: list[tuple[str, Tensor]]) -> bytes:
    """Length in 8 bytes, then JSON, padded with spaces to a multiple of 8."""
    entries, end = {}, 0
    for name, tensor in tensors:
        start, end = end, end + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
