"""Checks what shards of latents hold.

As many keys and classes as stated, no key twice, no class that the manifest does not list, levels
of the right shape.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pdm.data.classes import names_of
from pdm.data.shards import manifest
from pdm.data.shards.manifest import Manifest
from pdm.data.verification.damage import Findings

STAGE = "latents"


def check_latents(
    folder: Path, listed: Manifest, intact: Mapping[str, bool], found: Findings
) -> None:
    """Look into every shard whose sha256 is the stated one; of others the bytes mean nothing."""
    seen: dict[str, str] = {}
    shapes = [tuple(shape) for shape in listed.facts["level_shapes"]]
    known = {None, *names_of(listed.facts)}
    for shard in (shard for shards in listed.splits.values() for shard in shards):
        if not intact[shard.name]:
            continue
        file = folder / shard.name
        try:
            keys, classes, found_shapes = _read(file)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            found.add(file, f"cannot be read ({error})", STAGE)
            continue
        wanted = [(shard.num_samples, *shape) for shape in shapes]
        if found_shapes != wanted or len(keys) != shard.num_samples:
            fault = f"holds {len(keys)} keys and levels {found_shapes}, the manifest says {wanted}"
            found.add(file, fault, STAGE)
        if len(classes) != len(keys):
            found.add(file, f"holds {len(classes)} classes for {len(keys)} keys", STAGE)
        for key, name in zip(keys, classes, strict=False):
            if name not in known:
                found.add(file, f"has the class {name!r}, which is not listed", STAGE, key)
        for key in keys:
            if key in seen:
                found.add(file, f"stands in {seen[key]} already", STAGE, key)
            seen.setdefault(key, shard.name)
    _check_origin(folder, listed, found)


def _read(file: Path) -> tuple[list[str], list[str | None], list[tuple[int, ...]]]:
    """Keys, classes, and the shape of each level, without reading any value."""
    with safe_open(file, framework="pt") as opened:
        keys: list[str] = json.loads(opened.metadata()["keys"])
        classes = json.loads(opened.metadata().get("classes", "null")) or [None] * len(keys)
        num_levels = len(opened.keys())
        shapes = [tuple(opened.get_slice(f"level{i}").get_shape()) for i in range(num_levels)]
    return keys, classes, shapes


def _check_origin(folder: Path, listed: Manifest, found: Findings) -> None:
    """Latents of other pictures than those that lie beside them are no damage, but worth a word."""
    shards = folder.parent / "shards"
    stated = listed.facts.get("shards_sha256")
    if stated and (shards / manifest.FILE_NAME).exists() and manifest.digest(shards) != stated:
        found.warnings.append(f"{folder} was made from another version of {shards}")
