"""The benchmarks run, compare outputs with their peers', and say what they promise to say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEYS = {
    "judging": {"vs_naive", "vs_img2dataset"},
    "reading": {"read_vs_webdataset", "read_vs_raw"},
    "writing": {"write_vs_webdataset"},
    "duplicates": {"dedup_recall", "dedup_vs_numpy"},
    "decoding": {"decode_vs_default", "decode_vs_tuned"},
    "evaluations": {"evaluations_vs_euler"},
    "tiles": {"tiled_memory", "tiled_time", "tiled_max_abs_diff", "diffusers_tiled_memory"},
    "frechet": {"frechet_vs_sqrtm", "frechet_vs_torchmetrics", "frechet_rel_error"},
    "moments": {"moments_vs_torchmetrics"},
}
COMMANDS = {
    "decoding": "autoencoder",
    "tiles": "autoencoder",
    "evaluations": "diffusion",
    "frechet": "evaluation",
    "moments": "evaluation",
}
SLOW_KEYS = {"scaling": {"ray_efficiency", "ray_vs_pool"}, "memory": {"memory_growth"}}


def benchmark(part, *words):
    script = ROOT / f"benchmarks/{COMMANDS.get(part, 'curation')}.py"
    command = [sys.executable, script, "--any-load", "--json", "--only", part, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("part", SLOW_KEYS)
def test_a_part_that_starts_ray_ends_with_its_figures(part):
    done = benchmark(part, "--quick")
    assert done.returncode == 0, done.stderr
    assert SLOW_KEYS[part] <= json.loads(done.stdout.splitlines()[-1]).keys()


@pytest.mark.parametrize("part", KEYS)
def test_a_part_of_the_benchmark_runs_and_ends_with_its_figures(part):
    done = benchmark(part, "--quick")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert KEYS[part] <= found.keys()
    assert all(found[key] > 0 for key in KEYS[part])
    assert found.get("dedup_recall", 1) == 1  # every planted pair, at any size
    assert "QUICK" in found["marks"]  # nobody takes these for true figures
    assert {"git", "versions", "cores"} <= found["machine"].keys()
