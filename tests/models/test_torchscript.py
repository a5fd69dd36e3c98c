import json
from typing import get_args

import numpy as np
import pytest
import torch
import yaml

from pdm import cli
from pdm.config.networks.packaged import NetworkName
from pdm.config.stages.autoencoder import PerceptualConfig
from pdm.config.stages.evaluate import FeaturesConfig
from pdm.evaluation.features.pretrained import PretrainedFeatures
from pdm.files import sha256_of
from pdm.models.features.efficientnet_lite import standardise
from pdm.models.features.published_weights import load_published
from pdm.models.features.torchscript import ABOUT, make_network
from pdm.models.features.variants import VARIANTS
from pdm.training.objectives.perceptual import load_perceptual

NAME = "efficientnet-lite1"


@pytest.mark.parametrize("purpose", ["features", "perceptual"])
def test_a_file_made_twice_has_the_same_bytes_and_no_path_of_the_source(purpose, tmp_path):
    first, second = (make_network(NAME, purpose, tmp_path / name) for name in ("a.pt", "b.pt"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == sha256_of(first.path)
    assert b"feature_distance.py.debug" not in first.path.read_bytes()
    assert str(tmp_path).encode() not in first.path.read_bytes()


def test_the_file_says_which_network_it_holds_and_under_which_licence(tmp_path):
    made = make_network(NAME, "features", tmp_path / "network.pt")
    found = {ABOUT: ""}
    torch.jit.load(str(made.path), _extra_files=found)
    about = json.loads(found[ABOUT])
    assert about["network"] == NAME
    assert about["purpose"] == "features"
    assert about["licence"] == "Apache-2.0"
    assert about["weights_sha256"] == VARIANTS[NAME].sha256


def printed_params(capsys, *words):
    assert cli.main(["networks", "make", *words]) == 0
    return yaml.safe_load(capsys.readouterr().out.split("\n\n", 1)[1])


def test_the_printed_params_name_a_file_that_evaluate_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [entry] = printed_params(capsys, NAME)["evaluate"]["features"]
    assert entry["path"] == f"{NAME}-features.pt"
    network = PretrainedFeatures(FeaturesConfig(**entry))
    pictures = np.full((1, 240, 240, 3), 200, np.uint8)
    images = standardise(torch.full((1, 3, 240, 240), 200 / 127.5 - 1))
    expected = load_published(NAME).features(images)
    np.testing.assert_allclose(network(pictures), expected.numpy(), atol=1e-4)


def test_the_printed_params_name_a_file_that_the_autoencoder_takes(tmp_path, capsys):
    path = str(tmp_path / "mine.pt")
    entry = printed_params(capsys, NAME, "--for", "perceptual", "--output", path)
    config = PerceptualConfig(**entry["autoencoder"]["perceptual"])
    assert (config.path, config.weight) == (path, 0.15)
    perceptual = load_perceptual(config, torch.device("cpu"))
    assert perceptual(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32)) > 0.01


def test_params_can_name_all_networks():
    assert get_args(NetworkName) == tuple(VARIANTS)


def test_all_networks_are_listed_with_licence_and_package(capsys):
    assert cli.main(["networks", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(VARIANTS)
    assert all("Apache-2.0" in line and "-pytorch-model (installed)" in line for line in lines)


def test_an_unknown_network_is_refused_with_the_known_ones(capsys, tmp_path):
    path = tmp_path / "file.pt"
    assert cli.main(["networks", "make", "vgg16", "--output", str(path)]) == 2
    assert "vgg16: no such network; there are efficientnet-lite0" in capsys.readouterr().err
    assert not path.exists()


def test_a_folder_in_place_of_the_file_is_refused_with_what_to_do(capsys, tmp_path):
    assert cli.main(["networks", "make", NAME, "--output", str(tmp_path)]) == 2
    expected = f"{tmp_path} is a folder, not a file to write; name another file with --output"
    assert expected in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(VARIANTS, NAME, VARIANTS[NAME]._replace(name="efficientnet-lite9"))
    assert cli.main(["networks", "make", NAME, "--output", str(tmp_path / "file.pt")]) == 4
    error = capsys.readouterr().err
    assert "efficientnet-lite9-pytorch-model" in error
    assert "pyramid-diffusion[networks]" in error
