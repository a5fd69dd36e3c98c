"""Learned distances by networks whose weights packages ship."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from evaluation_folders import CONFIG, NUM_SAMPLES, landscape, write_samples

from pdm.config.stages.evaluate import FeaturesConfig
from pdm.errors import BadInput
from pdm.evaluation.evaluate import evaluate
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.models.features.published_weights import load_published
from pdm.models.features.variants import VARIANTS

NAME, SCORE = "efficientnet-lite1", "efficientnet_lite1"
LEARNED = dataclasses.replace(CONFIG, features=(FeaturesConfig(network=NAME),))


@pytest.fixture(scope="module")
def network():
    return PackagedFeatures(NAME)


def test_pictures_keep_their_shape_at_the_size_of_the_training(network):
    grey = np.full((1, 32, 64, 3), 127, np.uint8)
    expected = load_published(NAME).features(torch.zeros(1, 3, 240, 480))
    np.testing.assert_allclose(network.of_whole(grey), expected.numpy(), atol=1e-5)


def test_crops_go_in_as_they_are(network):
    crops = np.stack([landscape(seed, 32, 32) for seed in range(3)])
    images = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127) / 128
    expected = load_published(NAME).features(images)
    np.testing.assert_allclose(network.of_crops(crops), expected.numpy(), atol=1e-4)


def test_features_do_not_depend_on_the_batch(network):
    pictures = np.stack([landscape(seed) for seed in range(2)])
    alone = np.concatenate([network.of_whole(picture[None]) for picture in pictures])
    assert np.array_equal(network.of_whole(pictures), alone)


@pytest.fixture(scope="module")
def learned(shards, autoencoder, tmp_path_factory):
    """Folder, metrics and scores of an evaluation with a trained network."""

    folder = tmp_path_factory.mktemp("learned")
    drawn = write_samples(folder / "samples", [landscape(index) for index in range(NUM_SAMPLES)])
    paths = {name: folder / name for name in ("metrics", "plots", "cache")}
    scores = evaluate(LEARNED, samples=drawn, shards=shards, autoencoder=autoencoder, **paths)
    return folder, json.loads(paths["metrics"].read_text()), scores


def test_every_distance_has_a_floor_and_an_interval(learned):
    _, metrics, scores = learned
    measures = [
        *(f"{kind}_{SCORE}{part}" for kind in ("frechet", "kernel") for part in ("", "_crops")),
        *(f"{kind}_{SCORE}" for kind in ("precision", "recall", "density", "coverage")),
    ]
    for measure in measures:
        assert metrics[measure].keys() == {"samples_vs_val", "train_vs_val"}
        low, high = (scores[f"intervals/{measure}/samples_vs_val/{end}"] for end in ("low", "high"))
        assert low <= scores[f"{measure}/samples_vs_val"] <= high
    assert {f"rfrechet_{SCORE}", f"kernel_{SCORE}"} <= metrics["reconstruction"].keys()
    said = metrics["conventions"][f"frechet_{SCORE}"]
    assert "shorter side to 240 px" in said
    assert VARIANTS[NAME].sha256 in said


def test_random_features_are_given_beside_it_as_ever(learned, evaluated):
    (_, _, scores), (_, plain) = learned, evaluated
    for name, value in plain.items():
        assert scores[name] == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_the_table_has_the_learned_distances(learned):
    folder, _, _ = learned
    rows = (folder / "plots" / "scores.csv").read_text()
    assert f"kernel_{SCORE}," in rows
    assert f"frechet_{SCORE}_crops," in rows


def test_without_the_package_one_line_says_so_and_random_features_remain(
    evaluate_with, tmp_path, caplog, monkeypatch
):
    missing = VARIANTS[NAME]._replace(name="efficientnet-lite9")
    monkeypatch.setitem(VARIANTS, NAME, missing)
    evaluate_with(LEARNED)
    [line] = [each for each in caplog.messages if NAME in each]
    assert "is not installed" in line
    assert "make setup" in line
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "frechet_random_conv" in metrics
    assert f"kernel_{SCORE}" not in metrics
    assert "not installed" in metrics["conventions"][f"frechet_{SCORE}"]


@pytest.mark.parametrize("way", ["network", "file"])
def test_the_network_that_trained_the_autoencoder_does_not_judge_it(
    evaluate_with, autoencoder, tmp_path, way
):
    trained = tmp_path / "trained"
    shutil.copytree(autoencoder, trained)
    record = json.loads((trained / "config.json").read_text())
    (trained / "config.json").write_text(json.dumps(record | {"perceptual_network": NAME}))
    file = FeaturesConfig(kind=NAME, path="lite1.pt", sha256="0" * 64, convention="clean-fid")
    features = file if way == "file" else FeaturesConfig(network=NAME)
    with pytest.raises(BadInput, match=r"evaluate\.features\.0: .*autoencoder\.perceptual"):
        evaluate_with(dataclasses.replace(CONFIG, features=(features,)), autoencoder=trained)


@pytest.mark.parametrize("wrong", [{"kind": "clip"}, {"network": None}, {"sha256": "0" * 64}])
def test_an_entry_names_a_network_or_describes_a_file(wrong):
    with pytest.raises(ValueError, match="expected"):
        dataclasses.replace(LEARNED.features[0], **wrong)


def test_a_network_is_named_once():
    with pytest.raises(ValueError, match="at most once"):
        dataclasses.replace(LEARNED, features=LEARNED.features * 2)
