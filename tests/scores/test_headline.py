"""The six scores to look at first, and the words for them."""

import json

import pytest

from pdm import cli
from pdm.scores import headline
from pdm.scores.headline import LDM_PSNR_DB
from pdm.scores.names import RANDOM_SCORE, main_score

SCORES = {
    "frechet_random_conv/samples_vs_val": 0.5,
    "frechet_random_conv/train_vs_val": 0.25,
    "frechet_random_conv_infinite/samples_vs_val": 9.0,
    "intervals/frechet_random_conv/samples_vs_val/low": 0.4,
    "intervals/frechet_random_conv/samples_vs_val/high": 0.6,
    "swd/mean/samples_vs_val": 0.2,
    "swd/mean/train_vs_val": 0.1,
    "precision_random_conv/samples_vs_val": 0.7,
    "precision_random_conv/train_vs_val": 0.75,
    "recall_random_conv/samples_vs_val": 0.7,
    "recall_random_conv/train_vs_val": 0.75,
    "reconstruction/psnr_db/levels_2": 20.0,
    "reconstruction/psnr_db/levels_10": 32.0,
    "memorisation/by_features/share_of_copies": 0.0,
    "memorisation/by_pixels/share_of_copies": 0.0,
    "counts/num_val": 26,
}


def test_there_are_six_with_a_floor_each():
    entries = headline.entries(SCORES)
    assert len(entries) == 6
    assert [entry.floor for entry in entries] == [0.25, 0.1, 0.75, 0.75, LDM_PSNR_DB, 0.0]
    assert entries[0].interval == (0.4, 0.6)
    assert {entry.word for entry in entries} == {"good"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("frechet_random_conv/samples_vs_val", {0.5: "good", 0.51: "fair", 1.26: "poor"}),
        ("swd/mean/samples_vs_val", {0.05: "good", 0.4: "fair", 0.6: "poor"}),
        ("precision_random_conv/samples_vs_val", {0.61: "good", 0.5: "fair", 0.3: "poor"}),
        ("recall_random_conv/samples_vs_val", {0.9: "good", 0.38: "fair", 0.0: "poor"}),
        ("reconstruction/psnr_db/levels_10", {30.3: "good", 24.3: "fair", 24.1: "poor"}),
        ("memorisation/by_pixels/share_of_copies", {0.0: "good", 0.01: "fair", 0.02: "poor"}),
    ],
)
def test_a_score_is_judged_by_its_floor(name, values):
    for value, word in values.items():
        found = {one.name: one.word for one in headline.entries(SCORES | {name: value})}
        assert found.get(name, "good") == word


def test_copies_are_those_that_either_measure_finds():
    for measure in ("by_features", "by_pixels"):
        name = f"memorisation/{measure}/share_of_copies"
        entry = headline.entries(SCORES | {name: 0.5})[-1]
        assert (entry.name, entry.word) == (name, "poor")


def test_fid_comes_before_untrained_features():
    fid = {"fid_clean-fid/samples_vs_val": 30.0, "fid_clean-fid/train_vs_val": 2.0}
    assert headline.entries(SCORES | fid)[0].name == "fid_clean-fid/samples_vs_val"


LEARNED = {
    "kernel_efficientnet_lite1/samples_vs_val": 0.03,
    "kernel_efficientnet_lite1/train_vs_val": -0.001,
    "kernel_efficientnet_lite1_crops/samples_vs_val": 0.5,
    "kernel_efficientnet_lite1_deviation/samples_vs_val": 0.5,
    "precision_efficientnet_lite1/samples_vs_val": 0.1,
    "precision_efficientnet_lite1/train_vs_val": 0.9,
}


def test_a_trained_network_comes_before_random_features_and_there_are_still_six():
    entries = headline.entries(SCORES | LEARNED)
    assert len(entries) == 6
    assert (entries[0].name, entries[0].word) == (
        "kernel_efficientnet_lite1/samples_vs_val",
        "fair",
    )
    assert entries[2].name == "precision_efficientnet_lite1/samples_vs_val"


@pytest.mark.parametrize(("value", "word"), [(0.0139, "good"), (0.0589, "fair"), (0.06, "poor")])
def test_a_kernel_distance_is_judged_by_what_it_is_above_the_floor(value, word):
    scores = SCORES | LEARNED | {"kernel_efficientnet_lite1/samples_vs_val": value}
    assert headline.entries(scores)[0].word == word


def test_the_score_that_decides_is_one_that_all_runs_have():
    kernel = "kernel_efficientnet_lite1/samples_vs_val"
    assert main_score(SCORES | LEARNED) == kernel
    assert main_score(SCORES | LEARNED, SCORES | LEARNED) == kernel
    assert main_score(SCORES | LEARNED, SCORES) == RANDOM_SCORE
    assert main_score() == main_score(SCORES) == RANDOM_SCORE


def test_what_is_missing_is_left_out():
    scores = {name: value for name, value in SCORES.items() if not name.startswith("swd")}
    assert len(headline.entries(scores)) == 5
    assert headline.entries({}) == []


def test_without_a_floor_a_score_is_shown_and_not_judged():
    [entry] = headline.entries({"frechet_random_conv/samples_vs_val": 0.5})
    assert (entry.value, entry.floor, entry.word) == (0.5, None, "")


def test_the_next_step_mends_the_worst_first_and_the_autoencoder_before_the_samples():
    assert "larger size" in headline.next_step(SCORES)
    far = {"frechet_random_conv/samples_vs_val": 9.0}
    blurred = {"reconstruction/psnr_db/levels_10": 20.0}
    assert "diffusion model longer" in headline.next_step(SCORES | far)
    assert "autoencoder" in headline.next_step(SCORES | far | blurred)
    slightly_blurred = {"reconstruction/psnr_db/levels_10": 26.0}
    assert "diffusion model longer" in headline.next_step(SCORES | far | slightly_blurred)


def test_without_a_headline_score_nothing_is_called_good():
    for scores in ({}, {"counts/val": 8.0}):
        assert "pyramid evaluate" in headline.next_step(scores)


@pytest.fixture
def metrics(tmp_path):
    tree = {}
    for name, value in SCORES.items():
        *parents, leaf = name.split("/")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[leaf] = value
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(tree))
    return str(path)


def test_the_command_shows_every_score_with_its_interval_and_floor(metrics, capsys):
    assert cli.main(["scores", "--metrics", metrics]) == 0
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("frechet_random_conv/")]
    assert line.split() == [
        *("frechet_random_conv/samples_vs_val", "0.5", "[0.4,", "0.6]", "0.25", "smaller")
    ]
    assert any(line.startswith("frechet_random_conv_infinite") for line in lines)
    assert lines[-1].startswith("next: ")


def test_headline_shows_only_six_scores_and_the_next_step(metrics, capsys):
    assert cli.main(["scores", "--metrics", metrics, "--headline"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 9


def test_programs_get_the_same_as_json(metrics, capsys):
    assert cli.main(["scores", "--metrics", metrics, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["word"] for one in found["headline"]] == ["good"] * 6
    score = found["scores"]["frechet_random_conv/samples_vs_val"]
    assert score == {"value": 0.5, "interval": [0.4, 0.6], "floor": 0.25, "better": "smaller"}


def test_without_scores_the_command_says_what_to_run(tmp_path, capsys):
    assert cli.main(["scores", "--metrics", str(tmp_path / "none.json")]) == 2
    assert "none.json has no scores; run `pyramid evaluate`" in capsys.readouterr().err
