"""Keeps the files of a run that MLflow did not accept, until `pyramid sync` sends them.

They are outputs of a stage, which its next run replaces, or are in a temporary copy of the project,
which DVC removes. So they are kept in the run's folder, as hard links if the file system supports
them, since those take no space.
"""

import logging
import os
import shutil
from pathlib import Path

from pdm import events
from pdm.tracking.connection.project import experiment_of_dvc, is_temporary, project_root
from pdm.tracking.records.facts import first_samples
from pdm.tracking.records.record import Record
from pdm.tracking.records.run_log import EVENTS, SYSTEM

logger = logging.getLogger(__name__)

KEPT = "kept"


def folder_of_record(stage: str, folder: Path) -> Path:
    """Return the folder for a run's record: the run's folder or, if that is in a temporary copy, a
    folder of the project."""
    if not is_temporary():
        return folder
    name = "-".join(filter(None, (folder.name, experiment_of_dvc())))
    return project_root() / "runs" / stage / name


def keep_files(record: Record, home: Path, folder: Path) -> None:
    """Link or copy unsent files into `home`, and update their paths in the record.

    Args:
        record: Record to save with the new paths.
        home: Folder of the record.
        folder: Folder of the logs; they are copied if it is not `home`.
    """
    try:
        if home != folder:
            _copy_logs(folder, home)
        _keep(record, home)
        record.save(home)
    except OSError as error:  # a full disk must not end the tracked work
        logger.warning("files of the run %s are not kept for `pyramid sync`: %s", home, error)


def drop_kept_files(home: Path) -> None:
    """Remove the kept files, once they have arrived."""
    shutil.rmtree(home / KEPT, ignore_errors=True)


def _keep(record: Record, home: Path) -> None:
    kept, sent = home / KEPT, record.sent
    pictures = [
        path if path in sent.pictures else _linked(Path(path), kept / "pictures" / str(number))
        for number, path in enumerate(record.pictures)
    ]
    if record.awaits_promotion:
        record.candidate = {
            name: value if name.endswith("_sha256") else _linked(Path(value), kept / name)
            for name, value in record.candidate.items()
        }
    if record.samples and (record.samples != sent.samples or record.awaits_promotion):
        for file in first_samples(Path(record.samples)):
            _linked(file, kept / "samples")
        was_sent = record.samples == sent.samples
        record.samples = _from_project(kept / "samples")
        if was_sent:
            sent.samples = record.samples
    if record.model != sent.model:
        record.model = _linked(Path(record.model), kept / "model")
    record.pictures = pictures


def _linked(source: Path, folder: Path) -> str:
    """Copy a file or folder into `folder`; return the path that `pyramid sync` will use."""
    target = folder / source.name
    if source.resolve() != target.resolve() and source.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=_link_or_copy, dirs_exist_ok=True)
        else:
            _link_or_copy(str(source), str(target))
    return _from_project(target)


def _link_or_copy(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or no support for links
        shutil.copyfile(source, target)


def _copy_logs(folder: Path, home: Path) -> None:
    for name in (EVENTS, SYSTEM):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, home / name)
    for event in events.read(folder / EVENTS):
        if event["kind"] == "picture" and (folder / event["path"]).is_file():
            target = home / event["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(str(folder / event["path"]), str(target))


def _from_project(path: Path) -> str:
    """Make a path relative to the project, where `pyramid sync` runs."""
    absolute = path.absolute()
    root = project_root()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(path)
