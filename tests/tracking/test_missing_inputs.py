"""A stage whose inputs are missing or wrong does no work, so it leaves no run behind."""

from pathlib import Path

import pytest

from pdm import cli
from pdm.data.shards.manifest import Manifest
from pdm.presets import DEFAULT


@pytest.mark.parametrize("stage", ["autoencoder", "diffusion", "evaluate"])
def test_a_stage_that_lacks_an_input_leaves_no_run(stage, capsys):
    for name in ("shards", "latents"):
        Path("data", name).mkdir(parents=True)
        Manifest({"train": [], "val": []}, {}).save(Path("data", name))
    assert cli.main([stage, "--params", str(DEFAULT)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not list(Path().rglob("tracking.json"))
