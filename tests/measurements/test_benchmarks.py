"""The benchmarks run, compare outputs with their peers', and say what they promise to say."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.designs.train_first_stage import scores, train_design
from benchmarks.designs.wavelets import Wavelets
from benchmarks.shared.checkout import unpack_commit
from benchmarks.shared.child_process import run_module
from benchmarks.shared.ratios import Ratio, as_json, table

ROOT = Path(__file__).parents[2]
# Command -> part -> figures that it must state.
KEYS = {
    "curation": {
        "drawing": {"drawing_vs_before"},
        "judging": {"vs_naive", "vs_img2dataset"},
        "reading": {"read_vs_webdataset", "read_vs_raw"},
        "writing": {"write_vs_webdataset"},
        "duplicates": {"dedup_recall", "dedup_vs_numpy"},
    },
    "diffusion": {
        "evaluations": {"evaluations_vs_euler"},
        "kept_distances": {"distance_vs_ldm", "distance_vs_fair_ldm"},
    },
    "autoencoder": {"kept_quality": {"psnr_gain_db", "psnr_gain_sd"}},
    "evaluation": {
        "moments": {"moments_vs_torchmetrics"},
        "neighbours": {"neighbours_48"},
    },
    "training": {
        "feeding": {"feed_speedup"},
        "launches": {"launches_vs_before"},
        "resuming": {"resume_seconds"},
    },
}
SLOW_KEYS = {
    "curation": {
        "scaling": {"ray_efficiency", "ray_vs_pool"},
        "memory": {"memory_growth"},
    },
    "autoencoder": {
        "decoding": {"decode_vs_default", "decode_vs_tuned"},
        "tiles": {"tiled_memory", "tiled_time", "tiled_max_abs_diff", "diffusers_tiled_memory"},
        "full_size": {"full_256_whole_gib", "full_256_whole_seconds", "full_512_tiles_128_gib"},
    },
    "diffusion": {
        "few_steps": {"four_step_distance", "distil_cost"},
        "denoising": {"train_vs_tuned", "sample_vs_tuned", "train_memory"},
        "flops": {"flops_vs_unet2d", "flops_vs_sdxl"},
    },
    "evaluation": {
        "frechet": {"frechet_vs_sqrtm", "frechet_vs_torchmetrics", "frechet_rel_error"},
        "inputs": {"features_vs_cleanfid", "features_vs_cleanfid_png"},
        "random_features": {"random_conv_speed"},
        "replicates": {"replicates_to_first_order"},
    },
    "training": {
        "compiled_launches": {"launches_compiled_vs_before"},
        "compiling": {"compile_seconds"},
        "stall": {"checkpoint_stall", "checkpoint_stall_in_steps"},
        "recovery": {"recovery_seconds"},
        "sharded_memory": {"fsdp_memory"},
    },
    "tasks": {
        "inpainting": {"inpaint_known_diff", "inpaint_edge"},
        "super_resolution": {
            *("sr_distance_vs_bicubic", "sr_distance_vs_regression"),
            *("sr_psnr_gain_db", "sr_ssim_vs_bicubic"),
        },
        "semantic": {"semantic_agreement"},
        "text": {"text_agreement"},
        "layout": {"layout_agreement"},
        "latent_vs_pixel": {"latent_vs_pixel_train", "latent_vs_pixel_sample"},
    },
    "any_size": {
        "calls": {"calls_1024", "time_vs_explicit"},
        "enlarging_memory": {"memory_growth", "size_at_equal_memory"},
        "aspect_ratios": {"arad_vs_square"},
        "repeated_tiles": {"repeated_tiles_fstd", "repeated_tiles_mixture"},
        "other_seams": {"ldm_seam_fstd", "ldm_noise_seam_none", "sr_seam_none_vs_fstd"},
        "seams": {"seam_fstd", "seam_none", "seam_on_gradients_fstd", "collage_fstd"},
    },
}


def benchmark(command, *parts):
    script = ROOT / f"benchmarks/{command}.py"
    only = [word for part in parts for word in ("--only", part)]
    words = [sys.executable, script, "--any-load", "--json", "--quick", *only]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "part"), [(command, part) for command, parts in SLOW_KEYS.items() for part in parts]
)
def test_a_part_that_takes_long_ends_with_its_figures(command, part):
    assert SLOW_KEYS[command][part] <= benchmark(command, part).keys()


@pytest.mark.parametrize("design", ["pyramid", "kl-f16"])
def test_a_baseline_trains_in_the_trainer(design):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    job = {"design": design, "seed": 0, "seconds": None, "images": 8, "learning_rate": 1e-3}
    model, _, images_seen = train_design(job, pixels)
    assert images_seen == 8
    assert all(score["psnr_db"] > 0 for score in scores(model, pixels))


@pytest.mark.slow
def test_designs_train_for_the_same_time_and_their_scores_are_kept(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/quality.py", "autoencoder", "--seconds", "0.1"]
    designs = [word for name in ("pyramid", "kl-f8", "kl-f16") for word in ("--only", name)]
    words = [*designs, "--seeds", "0", "1", "--results", tmp_path, "--num-crops", "16"]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "autoencoder.json").read_text())["runs"]
    assert [(run["seed"], run["design"]) for run in runs] == [
        (seed, name) for seed in (0, 1) for name in ("pyramid", "kl-f8", "kl-f16")
    ]
    assert {run["latent_values"] for run in runs} == {256}
    assert "Gain over the better" in (tmp_path / "autoencoder.md").read_text()


@pytest.mark.timeout(900)  # five parts in one process; a busy machine takes minutes
@pytest.mark.parametrize("command", KEYS)
def test_the_parts_of_a_benchmark_run_and_end_with_their_figures(command):
    found = benchmark(command, *KEYS[command])
    expected = set().union(*KEYS[command].values())
    assert expected <= found.keys()
    assert all(found[key] > 0 for key in expected)
    assert found.get("dedup_recall", 1) == 1  # every planted pair, at any size
    assert "QUICK" in found["marks"]  # nobody takes these for true figures
    assert {"git", "versions", "cores"} <= found["machine"].keys()


def test_wavelets_keep_the_same_of_a_picture_as_one_latent_and_as_a_pyramid():
    images = smooth_images(40)
    kept = {}
    for pyramid, by_channel in itertools.product((True, False), repeat=2):
        wavelets = Wavelets(pyramid)
        wavelets.measure(images, by_channel=by_channel)
        latents = wavelets.encode(images)
        assert [level.shape[1:] for level in latents] == list(wavelets.level_shapes(64, 64))
        assert sum(level[0].numel() for level in latents) == 8 * 8 * 16
        kept[pyramid, by_channel] = wavelets.decode(latents)
    first, *others = kept.values()
    assert all(torch.allclose(first, other, atol=1e-5) for other in others)
    lost = (first - images).square().mean() / images.var()
    blocks = F.interpolate(F.avg_pool2d(images, 8), scale_factor=8)
    assert 0 < lost < 0.5 * (blocks - images).square().mean() / images.var()


@pytest.mark.parametrize("wanted", ["3", None])
def test_parts_that_use_all_cores_obey_the_number_of_threads_that_the_user_set(wanted):
    others = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment = others | ({"OMP_NUM_THREADS": wanted} if wanted else {})
    code = (
        "from benchmarks.shared.threads import limited_threads, num_threads; import torch\n"
        "before = torch.get_num_threads()\n"
        "with limited_threads(num_threads()): print(torch.get_num_threads())\n"
        "print(before, torch.get_num_threads())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [wanted or str(os.cpu_count()), "1", "1"]


def test_a_figure_without_a_peer_has_no_peer_in_the_table_and_the_json():
    line = Ratio("seconds", "how long it takes", 2.0, None, "s", (1.5, 2.0, 2.5))
    assert "how long it takes [seconds] | 2 |  | s | 2 (1.5 to 2.5) |" in table([line])
    found = as_json([line])
    assert (found["seconds"], found["details"]["seconds"]["peer"]) == (2.0, None)


def test_a_commit_that_is_missing_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no commit 0123abc"):
        unpack_commit("0123abc", tmp_path, "pdm")


def test_a_part_that_fails_in_its_own_process_says_why():
    with pytest.raises(RuntimeError, match=r"No module named benchmarks\.nowhere"):
        run_module("benchmarks.nowhere")


def smooth_images(count):
    noise = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return (0.5 * F.interpolate(noise, size=64, mode="bicubic")).clamp(-1, 1)


def test_pictures_of_block_means_pass_through_the_wavelets_unchanged():
    wavelets = Wavelets(pyramid=True)
    wavelets.measure(smooth_images(40), by_channel=True)
    flat = F.interpolate(F.avg_pool2d(smooth_images(5), 8), scale_factor=8)
    assert torch.allclose(wavelets.decode(wavelets.encode(flat)), flat, atol=1e-5)


@pytest.mark.slow
def test_diffusion_models_of_equal_size_train_on_as_many_latent_values(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/quality.py", "diffusion", "--images", "64"]
    designs = [word for name in ("pdm", "ldm-f8") for word in ("--only", name)]
    sizes = ["--num-crops", "64", "--num-samples", "16", "--seeds", "0", "--source", "landscapes"]
    folders = ["--results", tmp_path, "--work", tmp_path / "work"]
    words = [*command, *designs, *sizes, *folders]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "diffusion.json").read_text())["runs"]
    assert [run["design"] for run in runs] == ["pdm", "ldm-f8"]
    assert abs(runs[0]["parameters"] / runs[1]["parameters"] - 1) < 0.05
    assert {run["latent_values"] for run in runs} == {8 * 8 * 16}
    assert np.load(tmp_path / "work/pdm landscapes 0.npy").shape == (16, 64, 64, 3)
    assert "## Landscapes" in (tmp_path / "diffusion.md").read_text()
