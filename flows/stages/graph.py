"""The graph of dvc.yaml, as DVC reads it: the stages, their order, and which are stale.

All functions work on the repository of the current folder.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage import Stage as DvcStage

from flows.errors import BAD_INPUT, UNAVAILABLE, RunError

# After a run that was interrupted, DVC warns of each lock that it clears: nothing to act on.
logging.getLogger("dvc.rwlock").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of dvc.yaml. Paths are relative to its folder."""

    name: str
    command: str
    outputs: tuple[str, ...]  # including metrics and plots
    metrics: tuple[str, ...]
    upstream: frozenset[str]  # names of all stages that it depends on, directly or indirectly


def check_project_folder() -> None:
    """Raise `RunError` outside a project's folder, before DVC makes a repository of this one."""
    if not Path("dvc.yaml").exists():
        raise RunError(
            f"{Path.cwd()} has no dvc.yaml; run this from the project's folder", BAD_INPUT
        )


def stages() -> list[Stage]:
    """List all stages, each after its dependencies, otherwise in the order of dvc.yaml.

    `Repo.index.graph` is not a documented interface of DVC; only this function uses it.
    """
    with repository() as repo:
        graph = repo.index.graph
        positions = {stage: position for position, stage in enumerate(repo.index.stages)}
        upstream_first = nx.lexicographical_topological_sort(
            graph.reverse(copy=False), key=positions.__getitem__
        )
        return [
            _describe(stage, nx.descendants(graph, stage))
            for stage in upstream_first
            if isinstance(stage, PipelineStage)
        ]


def runs_pyramid_command() -> bool:
    """Whether `pyramid` runs any of the stages."""
    return any("pyramid" in stage.command.split() for stage in stages())


def stale(*names: str) -> list[str]:
    """The named stages, or those of all, whose code, data, params, command or outputs differ from
    dvc.lock. A stage whose input is about to change is not stale yet."""
    with repository() as repo:
        changed = repo.status(targets=list(names) or None)
    return [stage for stage in (names or changed) if stage in changed]


def _describe(stage: PipelineStage, upstream: set[DvcStage]) -> Stage:
    folder = Path(stage.wdir)
    paths = {str(Path(out.fs_path).relative_to(folder)): bool(out.metric) for out in stage.outs}
    return Stage(
        stage.addressing,
        stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd),
        tuple(paths),
        tuple(path for path, is_metric in paths.items() if is_metric),
        frozenset(other.addressing for other in upstream if isinstance(other, PipelineStage)),
    )


@contextlib.contextmanager
def repository() -> Iterator[Repo]:
    """Open DVC's repository of the current folder.

    Raises:
        RunError: DVC cannot read it, or another DVC command is running there.
    """
    try:
        with Repo(config={"core": {"no_scm": True}}) as repo:
            yield repo
    except LockError:
        raise RunError(
            "another DVC command is running in this folder; wait for it to end, then run again",
            UNAVAILABLE,
        ) from None
    except DvcException as error:
        # Such as the markers of a merge conflict. DVC names the file, but not what to do.
        advice = (
            "; restore it (`git checkout dvc.lock`), or delete it: all stages then run again, but "
            "finished trainings are not repeated"
            if "dvc.lock" in str(error)
            else ""
        )
        raise RunError(f"DVC cannot read this project: {error}{advice}", BAD_INPUT) from error


def configure_dvc_scm() -> None:
    """Set DVC up for a folder with or without a git repository, as an unpacked download is.

    DVC needs `core.no_scm` set without git, and unset with git.
    """
    has_git = any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents))
    config = Config(dvc_dir=".dvc")
    if config.get("core", {}).get("no_scm", False) != has_git:
        return
    with config.edit("local") as local:
        core = local.setdefault("core", {})
        if has_git:
            core.pop("no_scm", None)
        else:
            core["no_scm"] = True
