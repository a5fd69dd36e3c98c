"""Finds the project's folder, even if DVC runs the stage in a temporary copy of it.

`dvc exp run --temp` and DVC's queues check the project out below `.dvc/tmp/exps`, run the stages
there and remove the folder. Lasting files must go to the project itself.
"""

import os
from pathlib import Path

EXPERIMENTS = (".dvc", "tmp", "exps")
EXPERIMENT_NAME, ROOT = "DVC_EXP_NAME", "DVC_ROOT"  # set by DVC for the stages of an experiment


def project_root() -> Path:
    """Return the current folder or, in a temporary copy, the folder of the original project."""
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-len(EXPERIMENTS) :] == EXPERIMENTS:
            return folder.parents[len(EXPERIMENTS) - 1]
    root = os.environ.get(ROOT)
    if root and EXPERIMENT_NAME in os.environ and not here.is_relative_to(Path(root).resolve()):
        return Path(root).resolve()  # `.dvc/tmp` is a symbolic link
    return here


def is_temporary() -> bool:
    """Whether the current folder is a temporary copy made by DVC."""
    return project_root() != Path.cwd()


def experiment_of_dvc() -> str:
    """Return the name of the DVC experiment that this stage belongs to; empty if there is none."""
    return os.environ.get(EXPERIMENT_NAME, "")
