"""Compares what a stage computes with the stored numbers of its version.

`tests/versions/STAGE.json` has the version of pdm/versions.yaml and the numbers of that version, of
a stage that runs on a tiny scale.
"""

import json
import os
from pathlib import Path

import pytest

from pdm.versions import versions

FOLDER = Path(__file__).parents[1] / "versions"
WRITE = "PYRAMID_WRITE_VERSIONS"  # set to 1, the numbers are written
# Relative. Instruction sets of x86 and numbers of threads differ by a tenth of it: by up to 1e-5 in
# losses, and 1e-4 in scores, which are differences of large numbers.
TOLERANCES = {
    "autoencoder": 1e-4,
    "latents": 1e-3,
    "diffusion": 1e-4,
    "sample": 1e-4,
    "evaluate": 1e-3,
}


def assert_numbers_of_version(
    stage: str, found: dict[str, float], version: int | None = None, folder: Path = FOLDER
) -> None:
    """Fail if the numbers differ from those of the stage's version, and say what to do.

    With `PYRAMID_WRITE_VERSIONS=1`, the numbers of a raised or new version are written.
    """
    version = versions()[stage] if version is None else version
    path = folder / f"{stage}.json"
    kept = json.loads(path.read_text()) if path.exists() else {"version": 0, "numbers": {}}
    differing = {
        name: (kept["numbers"].get(name), found.get(name))
        for name in {**kept["numbers"], **found}
        if not _equal(kept["numbers"].get(name), found.get(name), TOLERANCES[stage])
    }
    if kept["version"] == version:
        if differing:
            pytest.fail(_raise_it(stage, version, differing))
    elif os.environ.get(WRITE) == "1":
        numbers = {name: float(f"{value:.7g}") for name, value in sorted(found.items())}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"version": version, "numbers": numbers}, indent=1) + "\n")
    else:
        pytest.fail(
            f"pdm/versions.yaml has version {version} of the stage {stage}, {path} the numbers of "
            f"version {kept['version']}; write those of the new one: {WRITE}=1 pytest {_test()}"
        )


def _equal(old: float | None, new: float | None, tolerance: float) -> bool:
    if old is None or new is None:
        return False
    return old == pytest.approx(new, rel=tolerance, abs=1e-6)


def _raise_it(stage: str, version: int, differing: dict) -> str:
    shown = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in list(differing.items())[:5])
    return (
        f"the stage {stage} computes something else than its version {version} did ({shown}; "
        f"{len(differing)} numbers differ). If that is not meant, undo it. If it is, raise {stage} "
        f"to {version + 1} in pdm/versions.yaml, so that pipelines run the stage again, and write "
        f"the new numbers: {WRITE}=1 pytest {_test()}"
    )


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0]
