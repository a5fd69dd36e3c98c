"""Checks shards of latents.

They must have the stated numbers of keys and classes, no repeated key, only classes that the
manifest lists, and levels of the stated shapes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pdm.counts import counted
from pdm.data.annotations.classes import names_of
from pdm.data.shards import manifest
from pdm.data.shards.buckets import facts_of_shard
from pdm.data.shards.manifest import Manifest
from pdm.data.verification.damage import Findings

STAGE = "latents"


def check_latents(
    folder: Path, listed: Manifest, intact: Mapping[str, bool], findings: Findings
) -> None:
    """Check the content of every shard with the stated sha256; others cannot be interpreted."""
    shard_of: dict[str, str] = {}
    listed_classes = {None, *names_of(listed.facts)}
    for shard in (shard for shards in listed.splits.values() for shard in shards):
        if not intact[shard.name]:
            continue
        file = folder / shard.name
        try:
            keys, classes, num_captioned, shapes = _read_header(file)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            findings.add(file, f"cannot be read ({error})", STAGE)
            continue
        facts = facts_of_shard(listed, shard.name)
        stated_shapes = [tuple(shape) for shape in facts["level_shapes"]]
        expected = [(shard.num_samples, *shape) for shape in stated_shapes]
        if shapes != expected or len(keys) != shard.num_samples:
            fault = (
                f"has {counted(len(keys), 'key')} and levels {shapes}, the manifest says {expected}"
            )
            findings.add(file, fault, STAGE)
        if num_captioned != len(keys):
            findings.add(
                file, f"has captions of {num_captioned} for {counted(len(keys), 'key')}", STAGE
            )
        if len(classes) != len(keys):
            findings.add(file, f"has {len(classes)} classes for {counted(len(keys), 'key')}", STAGE)
        for key, name in zip(keys, classes, strict=False):
            if name not in listed_classes:
                findings.add(file, f"has the class {name!r}, which is not listed", STAGE, key)
        for key in keys:
            if key in shard_of:
                findings.add(file, f"is already in {shard_of[key]}", STAGE, key)
            shard_of.setdefault(key, shard.name)
    _check_origin(folder, listed, findings)


def _read_header(file: Path) -> tuple[list[str], list[str | None], int, list[tuple[int, ...]]]:
    """Keys, classes, number of lists of captions, and the shape of each level. Values are not
    read."""
    with safe_open(file, framework="pt") as opened:
        keys: list[str] = json.loads(opened.metadata()["keys"])
        classes = json.loads(opened.metadata().get("classes", "null")) or [None] * len(keys)
        captions = json.loads(opened.metadata().get("captions", "null")) or keys
        num_levels = sum(name.startswith("level") for name in [*opened.keys()])
        shapes = [tuple(opened.get_slice(f"level{i}").get_shape()) for i in range(num_levels)]
    return keys, classes, len(captions), shapes


def _check_origin(folder: Path, listed: Manifest, findings: Findings) -> None:
    """Warn about latents of other pictures than those in the folder `shards` beside them."""
    shards = folder.parent / "shards"
    stated = listed.facts.get("shards_sha256")
    if stated and (shards / manifest.FILE_NAME).exists() and manifest.digest(shards) != stated:
        findings.warnings.append(f"{folder} was made from another version of {shards}")
