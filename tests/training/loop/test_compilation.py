from dataclasses import replace

import pytest
import torch
from points import CONFIG, Points, Regression
from safetensors.torch import load_file

from pdm.errors import Unavailable
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.distributed.workers import Workers
from pdm.training.loop.compilation import compile_blocks, prepare_blocks
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

CPU = Workers(torch.device("cpu"))


@pytest.mark.parametrize(("device", "variable"), [("cpu", "CXX"), ("cuda", "CC")])
def test_without_a_compiler_it_says_what_is_missing(device, variable, monkeypatch):
    monkeypatch.setenv(variable, "no-such-compiler")
    with pytest.raises(Unavailable, match=r"no compiler \(no-such-compiler\).* set it to false"):
        compile_blocks(Regression(), torch.device(device))


def trained(folder, **changes):
    config = replace(CONFIG, num_workers=1, **changes)
    torch.manual_seed(0)
    state = TrainState(Regression(), config)
    restore_newest(state, checkpoints_of(folder, config), CPU)
    run = RunFolder(folder, "points", config, CPU, state.images_seen, lambda *_: 0.0)
    prepare_blocks(state.model, config, CPU.device)
    train(state, CPU.wrap(state.model, config), Points(), config, run, CPU)
    return load_file(folder / "checkpoints" / f"{config.total_images:09}" / "ema.safetensors")


@pytest.mark.slow
def test_a_run_resumes_with_and_without_compilation(tmp_path):
    expected = trained(tmp_path / "plain")
    for first in (True, False):
        folder = tmp_path / str(first)
        trained(folder, compile=first, total_images=16)
        found = trained(folder, compile=not first)
        assert found.keys() == expected.keys()
        for name, weight in found.items():
            torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)
