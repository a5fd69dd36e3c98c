"""Writes a safetensors file tensor by tensor, without a copy of all of them in memory.

`safetensors.torch.save_file` takes contiguous tensors only, so weights in channels_last layout
would have to be copied first, all at once. The bytes are those of that function. The format is
described at https://huggingface.co/docs/safetensors.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

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


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """Write the file; equal tensors give equal bytes.

    Args:
        path: Replaced if it exists; not atomically.
        tensors: By name, on any device and in any layout, with a dtype of `DTYPES`. Each is read
            once. Further memory is taken for one at a time.
        dtype: What all of them are converted to; None to leave them as they are.
        facts: The file's metadata; None for no metadata.

    Returns:
        sha256 of the file, found without reading it again.

    Raises:
        OSError: The file cannot be written.
    """
    types = {name: dtype or tensor.dtype for name, tensor in tensors.items()}
    # Wider types first, so that every tensor is aligned in the file.
    names = sorted(tensors, key=lambda name: (-types[name].itemsize, name))
    header = _header({name: (types[name], tensors[name].shape) for name in names}, facts)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in chain([memoryview(header)], (_data(tensors[n], types[n]) for n in names)):
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _header(
    entries: Mapping[str, tuple[torch.dtype, torch.Size]], facts: Mapping[str, str] | None
) -> bytes:
    """Length in 8 bytes, then JSON, padded with spaces to a multiple of 8."""
    described: dict[str, Any] = {} if facts is None else {"__metadata__": dict(facts)}
    end = 0
    for name, (dtype, shape) in entries.items():
        start, end = end, end + shape.numel() * dtype.itemsize
        described[name] = {
            "dtype": DTYPES[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _data(tensor: Tensor, dtype: torch.dtype) -> memoryview:
    plain = tensor.detach().to("cpu", dtype).contiguous()
    return plain.flatten().view(torch.uint8).numpy().data
