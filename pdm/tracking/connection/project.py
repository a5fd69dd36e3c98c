"""Where the project lies, also for a stage that DVC runs in a temporary copy of it.

`dvc exp run --temp` and DVC's queues check the project out below `.dvc/tmp/exps`, run the stages
there and remove the folder. What shall stay belongs into the project itself.
"""

import os
from pathlib import Path

EXPERIMENTS = (".dvc", "tmp", "exps")
EXPERIMENT_NAME, ROOT = "DVC_EXP_NAME", "DVC_ROOT"  # set by DVC for the stages of an experiment


def project_root() -> Path:
    """The current folder; of a temporary copy, the folder of the project that it is a copy of."""
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-len(EXPERIMENTS) :] == EXPERIMENTS:
            return folder.parents[len(EXPERIMENTS) - 1]
    root = os.environ.get(ROOT)
    if root and EXPERIMENT_NAME in os.environ and not here.is_relative_to(Path(root).resolve()):
        return Path(root).resolve()  # `.dvc/tmp` is a link to somewhere else
    return here


def is_temporary() -> bool:
    """Whether the current folder is such a copy."""
    return project_root() != Path.cwd()


def experiment_of_dvc() -> str:
    """Name of DVC's experiment that this stage runs for; empty if there is none."""
    return os.environ.get(EXPERIMENT_NAME, "")
