"""Intervals of scores, and what the stage writes of replicates."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation_folders import CONFIG, NUM_SAMPLES, landscape, write_samples
from random_vectors import vectors

from pdm.data.shards.manifest import digest
from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.metrics import add_intervals
from pdm.evaluation.scores import Scores


def test_the_interval_of_a_mean_is_the_textbook_one():
    config = dataclasses.replace(CONFIG, num_replicates=2000)
    values = vectors(0, 100, 1)[:, 0]
    low, high = bootstrap.interval(bootstrap.mean_replicates({"score": values}, config)["score"])
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.02)


def test_centred_replicates_lie_about_the_score():
    replicates = bootstrap.centre(np.array([4.0, 6.0]), 1.0)
    assert replicates.tolist() == [0, 2]


def difference_interval(seed, shift):
    """Of the Fréchet distances of two runs, from the second of which `shift` was moved."""
    config = dataclasses.replace(CONFIG, num_replicates=100)
    val, *runs = (
        vectors([seed, part], 40, 2, move) for part, move in enumerate((0.0, 0.3, 0.3 + shift))
    )
    counts = [bootstrap.resample_counts(name, 40, config) for name in ("samples", "val")]
    replicates = []
    for run in runs:
        score = frechet_distance(Moments.of(run), Moments.of(val))
        drawn = [
            frechet_distance(Moments.counted(run, ours), Moments.counted(val, theirs))
            for ours, theirs in zip(*counts, strict=True)
        ]
        replicates.append(bootstrap.centre(np.array(drawn), score))
    return bootstrap.interval(replicates[1] - replicates[0])


def test_the_interval_of_a_difference_contains_zero_for_equal_runs_only():
    equal = [difference_interval(seed, 0.0) for seed in range(30)]
    held = np.mean([low <= 0 <= high for low, high in equal])
    assert held >= 0.85
    apart = [difference_interval(seed, 1.5) for seed in range(5)]
    assert all(low > 0 for low, _ in apart)


def test_replicates_say_what_they_may_be_compared_with(evaluated, shards):
    folder, scores = evaluated
    record = json.loads((folder / "plots" / "replicates.json").read_text())
    assert record["data_sha256"] == digest(shards)
    assert (record["seed"], record["num_replicates"]) == (CONFIG.seed, CONFIG.num_replicates)
    assert {len(values) for values in record["scores"].values()} == {CONFIG.num_replicates}
    distances = ("frechet_random_conv", "kernel_random_conv_crops", "swd/mean", "spectrum_db")
    pairs = ("samples_vs_val", "train_vs_val")
    assert {f"{name}/{pair}" for name in distances for pair in pairs} <= set(record["scores"])
    assert set(record["scores"]) <= set(scores)
    assert "reconstruction/psnr_db/levels_1" in record["scores"]
    manifolds = ("precision", "recall", "density", "coverage")
    assert {f"{name}_random_conv/{pair}" for name in manifolds for pair in pairs} <= set(
        record["scores"]
    )
    assert "memorisation/by_pixels/share_closer_than_median_val" in record["scores"]


def test_every_score_with_replicates_has_its_interval_in_the_metrics(evaluated):
    folder, scores = evaluated
    record = json.loads((folder / "plots" / "replicates.json").read_text())
    for name, values in record["scores"].items():
        low, high = (scores[f"intervals/{name}/{end}"] for end in ("low", "high"))
        assert [low, high] == pytest.approx(np.percentile(values, (2.5, 97.5)), rel=1e-4, abs=1e-5)
    inside = "frechet_random_conv/samples_vs_val"
    assert scores[f"intervals/{inside}/low"] < scores[inside] < scores[f"intervals/{inside}/high"]


def test_resamples_of_the_reference_do_not_depend_on_the_samples(evaluate_with, tmp_path):
    other = write_samples(tmp_path / "other", [landscape(70 + i) for i in range(NUM_SAMPLES)])
    first, second = evaluate_with(), evaluate_with(samples=other)
    same = "reconstruction/psnr_db/levels_3"
    assert first[same] == second[same]
    assert first["spectrum_db/train_vs_val"] == second["spectrum_db/train_vs_val"]
    assert first["spectrum_db/samples_vs_val"] != second["spectrum_db/samples_vs_val"]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("precision_random_conv/samples_vs_val", 1.0),
        ("by_size/512x384/recall_random_conv/samples_vs_val", 1.0),
        ("coverage_efficientnet_lite1/train_vs_val", 1.0),
        ("density_random_conv/samples_vs_val", 1.09),  # may exceed 1
        ("kernel_random_conv/samples_vs_val", 1.09),
    ],
)
def test_intervals_of_shares_end_at_one(name, end):
    replicates = bootstrap.centre(np.linspace(0.6, 1.0, 1001), 0.9)
    found = add_intervals(Scores({name: 0.9}, {name: replicates}))
    low, high = (found[f"intervals/{name}/{end}"] for end in ("low", "high"))
    assert (low, high) == pytest.approx((0.71, end), abs=1e-6)


def test_intervals_of_shares_begin_at_zero():
    name = "recall_random_conv/samples_vs_val"
    replicates = bootstrap.centre(np.linspace(0.0, 0.4, 1001), 0.1)
    found = add_intervals(Scores({name: 0.1}, {name: replicates}))
    assert found[f"intervals/{name}/low"] == 0
    assert found[f"intervals/{name}/high"] == pytest.approx(0.29, abs=1e-6)
