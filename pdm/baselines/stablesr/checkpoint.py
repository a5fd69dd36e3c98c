"""Reads the tensors of a published checkpoint, safetensors or a pickle, without running its code.

A pickle names classes and functions that reading it would call. torch's restricted reader
(`weights_only=True`) knows those of tensors and refuses all others, and the published files of
StableSR name some: Lightning writes its callbacks beside the weights. So the names are listed
first, which calls none. If all belong to libraries that such files are known to name, an empty
class stands in for each of them; it keeps nothing and does nothing. Any other name is refused.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from pdm.errors import BadInput

# Libraries whose names stand for nothing that a network needs.
LIBRARIES = (
    *("pytorch_lightning", "lightning", "lightning_fabric", "omegaconf"),
    *("numpy", "typing", "collections"),
)
ADVICE = "convert it to safetensors where you trust it, and name that file"


class _StandIn:
    """Takes the place of an object that is not needed."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file by their names.

    Args:
        path: A .safetensors, or a checkpoint as `torch.save` writes it, whose tensors are at its
            top or below `state_dict`. Their memory is mapped from the file.

    Raises:
        BadInput: The file does not exist, is damaged, is not a checkpoint, or names code that no
            checkpoint of StableSR needs.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; name a .ckpt or .safetensors that you have")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{path} is not a safetensors file that can be read: {error}") from error
    found = _unpickle(path)
    tensors = found.get("state_dict", found) if isinstance(found, Mapping) else {}
    named = {
        name: value
        for name, value in (tensors.items() if isinstance(tensors, Mapping) else ())
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not named:
        raise BadInput(f"{path} has no tensors with names, so it is not a checkpoint of a network")
    return named


def _unpickle(path: Path) -> object:
    try:
        names = get_unsafe_globals_in_checkpoint(path)
        if unknown := [name for name in names if name.split(".")[0] not in LIBRARIES]:
            listed = ", ".join(sorted(unknown)[:5])
            raise BadInput(f"{path} names code that weights do not need ({listed}); {ADVICE}")
        stand_ins = [(type(name, (_StandIn,), {}), name) for name in names]
        with safe_globals(stand_ins):  # type: ignore[arg-type]
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        said = " ".join(str(error).split())[:200]
        raise BadInput(f"{path} is not a checkpoint that can be read ({said}); {ADVICE}") from error
