"""The comparison of whole systems: fair designs, kept rows, ratios to the best rival."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.designs import system_results
from benchmarks.designs.first_stages import SIDE_PX, build
from benchmarks.designs.results import Results
from benchmarks.designs.system_designs import (
    GROUPS,
    JUDGE,
    SYSTEMS,
    TEACHER,
    first_stage_config,
    flow_config,
    sampling_config,
)
from benchmarks.designs.train_system import independent_values
from pdm.inference.latent_sampling import sampler_stops
from pdm.models.levels.orthogonal import remove_coarse_content
from pdm.registry import build_denoiser

OURS, LDM = GROUPS["ldm"].ours, GROUPS["ldm"].rivals
ROOT = Path(__file__).parents[2]
MACHINE = {"git": "0123abc", "processor": "a chip", "cores": 2, "versions": {"torch": "2"}}
EVERY_PAIR = {pair for pair, *_ in system_results.COLUMNS.values()} | set(
    system_results.FLOORS.values()
)
SCORES = {score for _, score, *_ in system_results.COLUMNS.values()}


def run(design, distance, *, source="landscapes", seed=0, seconds=1200.0):
    return {
        "design": design,
        "source": source,
        "seed": seed,
        "seconds": seconds,
        "images": None,
        "first_stage_images": 500,
        "images_seen": 1000,
        "parameters": [1_000_000, 5_000_000],
        "latent_values": 256,
        "machine": MACHINE,
        "distances": {pair: dict.fromkeys(SCORES, distance) for pair in EVERY_PAIR},
    }


def runs(ours, ldm, **where):
    """Ours and all of the group; rivals that have no distance here are as far as the farthest."""
    rest = [max(ldm)] * (len(LDM) - len(ldm))
    pairs = zip((OURS, *LDM), (ours, *ldm, *rest), strict=True)
    return [run(name, value, **where) for name, value in pairs]


def test_a_ratio_is_to_the_best_rival_of_the_group_seed_by_seed():
    kept = [
        *runs(1.0, (8.0, 4.0, 2.0)),
        *runs(3.0, (4.0, 6.0, 9.0), seed=1),
        *runs(1.0, (9.0, 9.0, 9.0), seconds=7200.0),  # longer, but one seed alone
        run(OURS, 1.0, seed=2),
    ]
    (line,) = system_results.ratios(kept)
    assert (line.key, line.values) == ("system_vs_ldm", (0.5, 0.75))


def test_a_system_counts_by_its_better_pictures_guided_or_not():
    kept = runs(4.0, (8.0, 6.0, 5.0))
    kept[0]["distances"]["guided"] = dict.fromkeys(SCORES, 1.0)
    kept[2]["distances"]["guided"] = dict.fromkeys(SCORES, 2.0)
    (line,) = system_results.ratios(kept)
    assert line.values == (0.5,)


def test_a_system_that_was_never_drawn_with_guidance_counts_without():
    kept = runs(4.0, (8.0, 6.0, 5.0))
    for one in kept:
        one["distances"] = {"samples": one["distances"]["samples"]}
    (line,) = system_results.ratios(kept)
    assert line.values == (0.8,)


def test_a_group_whose_best_may_be_missing_gives_no_ratio():
    assert system_results.ratios(runs(1.0, (8.0, 4.0, 2.0))[:-1]) == []


def test_ratios_are_read_back_from_the_kept_rows(tmp_path):
    kept = Results(tmp_path / "systems.json")
    for one in (*runs(1.0, (8.0, 4.0, 2.0)), run("pdm, with texture", 2.0), run("lapflow", 1.0)):
        kept.add(one)
    kept.write(tmp_path / "systems.md", system_results.page)
    command = [sys.executable, ROOT / "benchmarks/systems.py", "--json", "--results", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["system_vs_ldm"], found["system_vs_lapflow"]) == (0.5, 2.0)
    assert (found["commits"], found["processors"]) == ([MACHINE["git"]], [MACHINE["processor"]])
    page = (tmp_path / "systems.md").read_text()
    assert "| real crops (floor) |" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("| ")}
    assert len(widths) == 1


def test_a_row_that_is_there_is_not_missing(tmp_path):
    kept = Results(tmp_path / "systems.json")
    kept.add(run("dfm", 1.0))
    assert kept.has(run("dfm", 2.0))
    for other in (run("pdm", 1.0), run("dfm", 1.0, seed=1), run("dfm", 1.0, seconds=60.0)):
        assert not kept.has(other)


def test_systems_have_as_many_parameters_latent_values_and_evaluations():
    parameters, values, evaluations = [], {}, set()
    for name, system in SYSTEMS.items():
        first_stage, config = build(first_stage_config(system, 0)), flow_config(system, 0)
        shapes = first_stage.level_shapes(SIDE_PX, SIDE_PX)
        levels = first_stage.level_channels, first_stage.level_downsamplings
        parts = first_stage, build_denoiser(config, *levels)
        parameters.append(sum(weight.numel() for part in parts for weight in part.parameters()))
        values[name] = independent_values(first_stage)
        sampling = sampling_config(system, guided=False)
        stops = sampler_stops(sampling.steps, 1.0, config.schedule, len(shapes))
        evaluations.add(len(stops) - 1)
    assert max(parameters) < 1.05 * min(parameters)
    compared = {name for group in GROUPS.values() for name in (group.ours, *group.rivals)}
    assert {values[name] for name in compared} == {256} == {max(values.values())}
    assert evaluations == {50}


def test_independent_values_are_as_many_as_the_latents_have_dimensions():
    first_stage = build(first_stage_config(SYSTEMS[OURS], 0))
    shapes = first_stage.level_shapes(SIDE_PX, SIDE_PX)
    noise = tuple(torch.randn(400, *shape) for shape in shapes)
    levels = remove_coarse_content(noise)
    latents = torch.cat([level.flatten(1) for level in levels], dim=1)
    assert latents.shape[1] > torch.linalg.matrix_rank(latents) == independent_values(first_stage)


def test_only_the_guidance_differs_between_the_two_ways_to_draw():
    for system in SYSTEMS.values():
        plain, guided = (sampling_config(system, guided=way) for way in (False, True))
        assert dataclasses.replace(guided, guidance_scale=1.0) == plain != guided


def test_the_judge_has_trained_nothing():
    configs = [first_stage_config(system, 0) for system in SYSTEMS.values()]
    assert {config.perceptual.network for config in configs} == {TEACHER} != {JUDGE}


def test_systems_with_the_same_latents_and_losses_share_one_first_stage():
    by_kind = {}
    for system in SYSTEMS.values():
        kind = system.first_stage, system.texture, system.discriminator
        by_kind.setdefault(kind, []).append(first_stage_config(system, 3))
    assert {kind for kind, *_ in by_kind} == {"pyramid", "pyramid-200", "pyramid-even", "kl-f8"}
    for same in by_kind.values():
        assert all(config == same[0] for config in same)


def test_ldm_has_its_first_stage_with_our_losses_and_without():
    losses = {(SYSTEMS[name].texture, SYSTEMS[name].discriminator) for name in LDM}
    ours = SYSTEMS[OURS]
    assert losses == {(0.0, None), (ours.texture, None), (ours.texture, ours.discriminator)}


def test_flows_of_other_papers_are_compared_on_the_same_first_stage():
    for group in (GROUPS["dfm"], GROUPS["lapflow"]):
        configs = [first_stage_config(SYSTEMS[name], 0) for name in (group.ours, *group.rivals)]
        assert all(config == configs[0] for config in configs)


@pytest.mark.slow
def test_a_row_is_stored_when_it_is_finished_and_a_second_run_goes_on(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/systems.py", "--minutes", "0.02", "--seeds", "0"]
    sizes = ["--num-crops", "64", "--num-samples", "16"]
    words = [*command, *sizes, "--results", tmp_path, "--work", tmp_path / "work"]
    for systems in (["pdm"], ["pdm", "dfm", "ldm-f8"]):
        only = [word for name in systems for word in ("--only", name)]
        subprocess.run([*words, *only], cwd=ROOT, check=True)
        found = json.loads((tmp_path / "systems.json").read_text())["runs"]
        assert [one["design"] for one in found] == systems
    assert len(list((tmp_path / "work").glob("*/first-stages/*"))) == 3
    assert len(list((tmp_path / "work").glob("*/sheets/*.png"))) == 2 * 3
    follower = ["--only", "lapflow", "--as-many-images-as", "pdm"]
    subprocess.run([*words, *follower], cwd=ROOT, check=True)
    leader, *_, last = json.loads((tmp_path / "systems.json").read_text())["runs"]
    for images in ("first_stage_images", "images_seen"):
        assert last[images] == leader[images]
    assert "as many images as `pdm`" in (tmp_path / "systems.md").read_text()


def test_a_row_cannot_follow_one_that_is_not_there(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/systems.py", "--only", "lapflow", "--seeds", "3"]
    sizes = ["--num-crops", "8", "--num-samples", "4", "--source", "landscapes"]
    places = ["--results", tmp_path, "--work", tmp_path / "work", "--as-many-images-as", "pdm"]
    done = subprocess.run([*command, *sizes, *places], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--as-many-images-as pdm: no row of landscapes, seed 3" in done.stderr
