"""Weights on disk: a model folder of `config.json` and `model.safetensors`, or a file that an
installed package ships, which is used only with the digest that it is known by."""

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pdm.errors import BadInput, Unavailable
from pdm.files import atomic_folder, sha256_of, write_json


def save(
    folder: Path,
    kind: str,
    config: Any,
    tensors: dict[str, torch.Tensor],
    *,
    beside: Sequence[Path] = (),
    card: str = "",
    **facts: Any,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        folder: Replaced if it exists.
        kind: The model's class name, so that a folder of another kind is refused on loading.
        config: Dataclass of all that the constructor needs.
        tensors: The state dict.
        beside: Files and folders to put a copy of into the folder, those that there are.
        card: What `README.md` says; without it there is none.
        facts: Anything else to keep in `config.json`, such as the digest of the training data.
    """
    with atomic_folder(folder) as temporary:
        write_json(
            temporary / "config.json",
            {"kind": kind, "config": dataclasses.asdict(config), **facts},
        )
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary / "model.safetensors",
        )
        if card:
            (temporary / "README.md").write_text(card, encoding="utf-8")
        for file in beside:
            if file.is_file():
                shutil.copyfile(file, temporary / file.name)
            elif file.is_dir():
                shutil.copytree(file, temporary / file.name)


def record_of(folder: Path) -> dict[str, Any]:
    """The whole of a model folder's `config.json`; "kind" names the model's class.

    Raises:
        BadInput: It is missing or damaged.
    """
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("config.json holds no mapping")
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder} is not a model folder that can be read: {error}") from error
    return record


def load(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a model folder: its record, and the tensors on the CPU.

    Raises:
        BadInput: The folder or a file is missing or damaged, or holds a model of another kind.
    """
    record = record_of(folder)
    try:
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(f"{folder} is not a model folder that can be read: {error}") from error
    if record.get("kind") != kind:
        raise BadInput(f"{folder} holds a {record.get('kind')}, not a {kind}; name another folder")
    return record, tensors


@contextmanager
def explain_misfit(folder: Path) -> Iterator[None]:
    """While a model is made from what `load` gave.

    Raises:
        BadInput: Settings or tensors are not those of this version's model.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise BadInput(
            f"{folder} holds a model that this version of the project does not know ({said}); "
            "train it again, or load it with the version that wrote it"
        ) from error


def packaged_file(package: str, name: str, sha256: str) -> Path:
    """A file of weights in an installed package. The package is found, not imported.

    Raises:
        Unavailable: The package is not installed, or has no such file.
        BadInput: The file's digest is another.
    """
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    path = next(
        (Path(folder) / name for folder in folders if (Path(folder) / name).is_file()), None
    )
    if path is None:
        raise Unavailable(
            f"{package}/{name} is not installed; install what requirements.lock lists"
        )
    if (found := sha256_of(path)) != sha256:
        raise BadInput(
            f"{path} has sha256 {found}, not {sha256}; install the version that requirements.lock "
            "lists"
        )
    return path
