"""Stored results of long comparisons: their pages, and the figures that the goals refer to."""

import pytest

from benchmarks.designs import denoiser_results
from benchmarks.designs.results import Results
from benchmarks.parts.diffusion import kept_distances

MACHINE = {"git": "0123abc", "processor": "a chip", "cores": 2, "versions": {"torch": "2"}}
PAIRS = (
    *denoiser_results.COLUMNS,
    *(floor for _, floor in denoiser_results.COLUMNS.values()),
)
SCORES = (denoiser_results.SCORE, *denoiser_results.OTHERS)


def run(design, distance, *, source="landscapes", seed=0, seconds=120.0):
    return {
        "design": design,
        "source": source,
        "seed": seed,
        "seconds": seconds,
        "images": None,
        "images_seen": 1000,
        "parameters": 5_000_000,
        "machine": MACHINE,
        "distances": {pair: dict.fromkeys(SCORES, distance) for pair in PAIRS},
    }


def runs(ours, published, by_channel, same_flow, **where):
    names = ("pdm", "ldm-f8", "ldm-f8 by channel", "ldm-f8 by channel, our flow")
    values = (ours, published, by_channel, same_flow)
    return [run(name, value, **where) for name, value in zip(names, values, strict=True)]


def test_the_goals_are_read_from_kept_runs_with_the_same_seeds(tmp_path):
    kept = Results(tmp_path / "diffusion.json")
    for each in (*runs(1, 8, 4, 2), *runs(3, 4, 3, 6, seed=1), *runs(1, 9, 9, 9, seconds=1.0)):
        kept.add(each)
    kept.add(run("pdm", 1.0, seed=2))  # no rival has this seed
    kept.write(tmp_path / "diffusion.md", denoiser_results.page)
    lines = kept_distances.measure(tmp_path / "diffusion.json", tmp_path)
    assert {line.key: line.values for line in lines} == {
        "distance_vs_ldm": (1 / 8, 3 / 4),
        "distance_vs_fair_ldm": (1 / 4, 1),
        "distance_vs_ldm_our_flow": (1 / 2, 1 / 2),
    }


def test_a_run_takes_the_place_of_its_like_and_of_no_other(tmp_path):
    kept = Results(tmp_path / "diffusion.json")
    for each in (run("pdm", 1.0), run("pdm", 2.0, source="photographs"), run("pdm", 3.0)):
        kept.add(each)
    found = {one["source"]: one["distances"]["samples"]["swd/mean"] for one in kept.runs}
    assert found == {"landscapes": 3.0, "photographs": 2.0}
    assert len(kept.runs) == 2


def test_the_page_has_a_table_for_each_source_with_its_floor():
    page = denoiser_results.page(runs(1, 8, 4, 2) + runs(1, 2, 2, 2, source="photographs"))
    assert page.index("## Landscapes") < page.index("## Photographs")
    assert page.count("| real crops (floor) |") == 2
    assert "over that of LDM f8 as published: landscapes, seed 0: 0.125" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("| ")}
    assert len(widths) == 1


def test_a_missing_rival_is_no_ratio(tmp_path):
    assert denoiser_results.paired_distances([run("pdm", 1.0)], "ldm-f8") == {}
    with pytest.raises(ValueError, match="no run"):
        kept_distances.measure(tmp_path / "none.json", tmp_path)
