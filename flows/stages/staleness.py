"""Finds out why DVC would run a stage again, and which outputs would be lost.

DVC's own status only names the sections of params that changed; this also names old and new values.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.stage import PipelineStage
from dvc.stage.cache import _can_hash

from flows.stages import graph

MAX_REASONS = 4
LENGTH_OF_DIGEST = 8
ABSENT = "none"


@dataclass(frozen=True, slots=True)
class Staleness:
    """A stage that was run before and that DVC would run again.

    Args:
        reasons: What differs from dvc.lock.
        unsaved: Outputs in the workspace that are not in DVC's cache, so that they would be lost.
        missing: Outputs that are not in the workspace, and not in DVC's cache as dvc.lock names
            them.
    """

    reasons: tuple[str, ...]
    unsaved: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        """All or some reasons in one line."""
        more = len(self.reasons) - MAX_REASONS
        listed = ", ".join(self.reasons[:MAX_REASONS])
        return f"{listed} and {more} more" if more > 0 else listed


def staleness(name: str) -> Staleness | None:
    """Why a stage would run again; None if it would not, if DVC would restore its outputs from its
    cache, or if it was never run."""
    with graph.repository() as repo:
        stage = next(each for each in repo.index.stages if each.addressing == name)
        reasons = tuple(_reasons(stage))
        unsaved = tuple(str(out) for out in stage.outs if out.exists and not _is_saved(out))
        missing = tuple(str(out) for out in stage.outs if not out.exists and out.changed_cache())
        was_run = unsaved or any(out.hash_info for out in stage.outs)
        if not reasons or not was_run or _is_restored(stage):
            return None
        return Staleness(reasons, unsaved, missing)


def _reasons(stage: PipelineStage) -> Iterator[str]:
    if not any(out.hash_info for out in stage.outs):
        yield "dvc.lock does not know this stage yet"
        return
    if stage.changed_stage():
        yield "its command in dvc.yaml"
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency):
            yield from _changed_params(dependency)
        elif not dependency.exists:
            yield f"{dependency} is missing"
        elif dependency.changed_checksum():
            old, new = _digest(dependency.hash_info), _digest(dependency.get_hash())
            yield f"{dependency} ({old} -> {new})"
    for out in stage.outs:
        if not out.exists:
            yield f"{out} is missing"
        elif out.changed_checksum():
            yield f"{out} was changed after the stage wrote it"


def _changed_params(dependency: ParamsDependency) -> Iterator[str]:
    old = _flatten(dependency.hash_info.value or {})
    new = _flatten(dependency.read_params())
    for name in {**old, **new}:
        before, after = (_as_text(values.get(name)) for values in (old, new))
        if before != after:
            file = "" if str(dependency) == dependency.DEFAULT_PARAMS_FILE else f" in {dependency}"
            yield f"{name}{file} ({before} -> {after})"


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Values of nested mappings, under dotted names."""
    if not isinstance(value, dict):
        return {name: value}
    parts = [_flatten(below, f"{name}.{key}" if name else key) for key, below in value.items()]
    return {key: leaf for part in parts for key, leaf in part.items()}


def _as_text(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _digest(hash_info: Any) -> str:
    return str(hash_info.value)[:LENGTH_OF_DIGEST] if hash_info else ABSENT


def _is_saved(out: Output) -> bool:
    """Whether DVC's cache has the output as it is."""
    if not out.use_cache:
        return True
    return bool(out.hash_info) and not out.changed_checksum() and not out.changed_cache()


def _is_restored(stage: PipelineStage) -> bool:
    """Whether DVC would restore the outputs from its cache, from an earlier run with these inputs.

    `StageCache.restore` does this, but has no useful dry run: that compares with the inputs in
    dvc.lock. These are not documented interfaces of DVC.
    """
    if not stage.changed_stage() and stage.deps_cached():
        return bool(stage.outs_cached())
    try:
        stage.save_deps()  # in memory
    except DvcException:  # an input is missing
        return False
    cache = stage.repo.stage_cache
    entry = cache._load(stage) if _can_hash(stage) else None
    return bool(entry) and bool(cache._create_stage(entry, wdir=stage.wdir).outs_cached())
