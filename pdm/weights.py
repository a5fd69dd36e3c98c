"""Weights on disk: model folders with `config.json` and `model.safetensors`, and files shipped by
installed packages, whose sha256 must match."""

import dataclasses
import importlib.util
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pdm.disk_full import free_bytes, size_text
from pdm.errors import BadInput, Unavailable, why
from pdm.files import atomic_folder, sha256_of, write_json
from pdm.model_record import record_of

FEW_STEPS = "few-steps"  # folder, within a flow's, of the network that was distilled from it


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
    """Write a model folder, atomically.

    Args:
        folder: Folder to write; replaced if it exists.
        kind: The model's class name, so that a folder of another kind is refused on loading.
        config: Dataclass of the constructor's arguments.
        tensors: The state dict.
        beside: Files and folders to copy into the folder; missing ones are skipped.
        card: Text of `README.md`; empty for no such file.
        facts: Further entries of `config.json`, such as the digest of the training data.

    Raises:
        Unavailable: The weights cannot be written, such as to a full disk.
    """
    with atomic_folder(folder) as temporary:
        write_json(
            temporary / "config.json",
            {"kind": kind, "config": dataclasses.asdict(config), **facts},
        )
        _write_tensors(folder, tensors, temporary / "model.safetensors")
        if card:
            (temporary / "README.md").write_text(card, encoding="utf-8")
        for file in beside:
            if file.is_file():
                shutil.copyfile(file, temporary / file.name)
            elif file.is_dir():
                shutil.copytree(file, temporary / file.name)


def _write_tensors(folder: Path, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, path)
    except SafetensorError as error:  # which is no OSError, even if the disk is full
        raise Unavailable(
            f"{folder} cannot be written ({error}; {size_text(free_bytes(path))} free); check the "
            "disk, then run this again"
        ) from error


def copy(source: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    """Copy a model folder, atomically, and add entries to its `config.json`.

    Raises:
        BadInput: `source` cannot be read.
    """
    record = record_of(source)
    with atomic_folder(folder) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
        write_json(temporary / "config.json", {**record, **facts})


def load(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read a model folder: its record, and the tensors on the CPU.

    Raises:
        BadInput: The folder or a file is missing or damaged, or the model is of another kind.
    """
    record = record_of(folder)
    try:
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise BadInput(
            f"{folder} is not a model folder that can be read ({why(error)}); copy it again, or "
            "train it again"
        ) from error
    if record.get("kind") != kind:
        raise BadInput(f"{folder} is a {record.get('kind')}, not a {kind}; name another folder")
    return record, tensors


@contextmanager
def explain_misfit(folder: Path) -> Iterator[None]:
    """Turn errors of building a model from a folder into `BadInput`.

    Raises:
        BadInput: Settings or tensors do not fit the model of this version.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise BadInput(
            f"{folder} has a model that this version of the project does not know ({said}); "
            "train it again, or load it with the version that wrote it"
        ) from error


def packaged_file(package: str, name: str, sha256: str) -> Path:
    """Find a weights file in an installed package, without importing the package.

    Raises:
        Unavailable: The package is not installed, or has no such file.
        BadInput: The file has another sha256.
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
