"""Processes that scraping starts on every core do not load what they do not use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from guard_settings import settings

from pdm.curation.scrape.fetching import light_img2dataset
from pdm.curation.scrape.fetching.img2dataset import build_command


def modules_after(python, program):
    """Names of the modules that a program has loaded."""
    text = f"{program}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([python, "-c", text], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_process_that_draws_loads_neither_torch_nor_pyarrow():
    loaded = modules_after(sys.executable, "import pdm.curation.scrape.sources.builtin")
    assert "cv2" in loaded
    assert loaded.isdisjoint({"torch", "pyarrow"})


@pytest.fixture(scope="module")
def runner():
    """The Python and the file that run img2dataset."""
    python, file, *_ = build_command(Path("urls"), Path("parts"), settings(), 1)
    assert file == light_img2dataset.__file__
    return python, f"import runpy; runpy.run_path({file!r}, run_name='__mp_main__')\n"


def test_img2dataset_loads_no_package_that_it_does_not_use(runner):
    python, begin = runner
    loaded = modules_after(python, f"{begin}import img2dataset.main")
    assert {"img2dataset.resizer", "cv2"} <= loaded
    assert loaded.isdisjoint({"albumentations.core", "wandb.sdk"})


def test_a_package_that_img2dataset_does_use_is_the_real_one(runner):
    python, begin = runner
    uses = (
        "import albumentations as first, albumentations as second\n"
        "assert first.SmallestMaxSize(max_size=8).max_size == 8\n"
        "import albumentations as third\n"
        "assert first.SmallestMaxSize is second.SmallestMaxSize is third.SmallestMaxSize"
    )
    assert "albumentations.core" in modules_after(python, begin + uses)


@pytest.mark.parametrize("first_line", ["#!/bin/sh", "#!/absent/python", "no script"])
def test_a_command_that_pip_did_not_write_is_run_as_it_is(tmp_path, monkeypatch, first_line):
    command = tmp_path / "img2dataset"
    command.write_text(f"{first_line}\nfrom img2dataset import main\n")
    monkeypatch.setenv("PYRAMID_IMG2DATASET", str(command))
    assert build_command(Path("urls"), Path("parts"), settings(), 1)[0] == str(command)
