"""`benchmarks/gpu.py` on the CPU, as on a GPU machine that has torch and little more."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import run_part
from benchmarks.parts.gpu import sizes
from benchmarks.parts.gpu.clock import covered
from pdm.config.records import from_record
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig

ROOT = Path(__file__).parents[2]
BARE = ("torch", "numpy", "safetensors", "einops")


def top_levels(package: str) -> dict[str, Path]:
    """Files and folders in site-packages of a package and all that it requires."""
    found, names = {}, [package]
    for name in names:
        try:
            dist = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        for file in dist.files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                found[file.parts[0]] = Path(dist.locate_file(file.parts[0]))
        needed = [line for line in dist.requires or () if "extra ==" not in line]
        names += [one for line in needed if (one := re.split(r"[^\w.-]", line)[0]) not in names]
    return found


@pytest.mark.timeout(900)  # about 15 seconds on a quiet machine of two cores
def test_it_runs_with_torch_numpy_safetensors_and_einops_only(tmp_path):
    for package in BARE:
        for name, path in top_levels(package).items():
            if not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(path)
    assert not (tmp_path / "pydantic").exists()
    command = [sys.executable, "-S", "benchmarks/gpu.py", "--size", "tiny", "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*command, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["machine"]["diffusers"] is False
    assert found["machine"]["git"].strip("+") != ""
    assert found["unet_bfloat16"] < 0.02
    assert found["decode_bfloat16"] < 0.02
    assert found["decode_tiles_difference"] < 1e-3
    measured = ("matrix_bfloat16_tflops", "copy_gb_per_second", "ddp_of_one_time")
    steps = [f"{name}_step_default_{what}" for name in ("unet", "autoencoder") for what in STEP]
    drawn = [f"{name}_{what}" for name in DRAWN for what in ("seconds", "peak_gib")]
    assert all(found[key] > 0 for key in (*measured, *steps, *drawn))


STEP = ("images_per_second", "mfu", "launches", "peak_gib", "first_seconds")
DRAWN = ("decode_whole", "decode_tiles", "picture_50_steps_default", "picture_4_steps_default")


def test_a_part_that_fails_or_hangs_gives_a_row_with_its_error():
    [row] = run_part("ceilings", "tiny", "no-such-device", 60)
    assert row.failed
    assert row.value is None
    assert "no-such-device" in row.note
    rows = run_part("unet_step", "tiny", "cpu", 0.0)
    assert [one.note for one in rows if one.failed] == ["took more than 0 s"]


def test_its_sizes_are_those_of_the_presets():
    found, expected = (
        {
            (preset, name): from_record(kind, sections[name], name)
            for preset, sections in record.items()
            for name, kind in (("autoencoder", AutoencoderConfig), ("diffusion", DiffusionConfig))
        }
        for record in (json.loads(sizes.FILE.read_text()), sizes.records_of_presets())
    )
    assert found == expected, "run python -m benchmarks.parts.gpu.sizes"


def test_gaps_between_kernels_are_not_covered_twice():
    assert covered([(0, 2), (1, 3), (5, 6), (5, 5.5)]) == 4
    assert covered([]) == 0
