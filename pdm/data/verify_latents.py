"""Checks what shards of latents hold: as many keys as stated, none twice, levels of right shape."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pdm.data import manifest
from pdm.data.damage import Findings
from pdm.data.manifest import Manifest

STAGE = "latents"


def check_latents(
    folder: Path, listed: Manifest, intact: Mapping[str, bool], found: Findings
) -> None:
    """Look into every shard whose sha256 is the stated one; of others the bytes mean nothing."""
    seen: dict[str, str] = {}
    shapes = [tuple(shape) for shape in listed.facts["level_shapes"]]
    for shard in (shard for shards in listed.splits.values() for shard in shards):
        if not intact[shard.name]:
            continue
        file = folder / shard.name
        try:
            keys, found_shapes = _read(file)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            found.add(file, f"cannot be read ({error})", STAGE)
            continue
        wanted = [(shard.num_samples, *shape) for shape in shapes]
        if found_shapes != wanted or len(keys) != shard.num_samples:
            fault = f"holds {len(keys)} keys and levels {found_shapes}, the manifest says {wanted}"
            found.add(file, fault, STAGE)
        for key in keys:
            if key in seen:
                found.add(file, f"stands in {seen[key]} already", STAGE, key)
            seen.setdefault(key, shard.name)
    _check_origin(folder, listed, found)


def _read(file: Path) -> tuple[list[str], list[tuple[int, ...]]]:
    """Keys, and the shape of each level, without reading any value."""
    with safe_open(file, framework="pt") as opened:
        keys: list[str] = json.loads(opened.metadata()["keys"])
        num_levels = len(opened.keys())
        shapes = [tuple(opened.get_slice(f"level{i}").get_shape()) for i in range(num_levels)]
    return keys, shapes


def _check_origin(folder: Path, listed: Manifest, found: Findings) -> None:
    """Latents of other pictures than those that lie beside them are no damage, but worth a word."""
    shards = folder.parent / "shards"
    stated = listed.facts.get("shards_sha256")
    if stated and (shards / manifest.FILE_NAME).exists() and manifest.digest(shards) != stated:
        found.warnings.append(f"{folder} was made from another version of {shards}")
