import dataclasses
import json

import numpy as np
import pytest
import torch
from evaluation_folders import CONFIG, landscape
from torch import nn

from pdm.config.stages.evaluate import FeaturesConfig
from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.evaluation.evaluate import evaluate
from pdm.evaluation.features import pretrained as networks
from pdm.evaluation.features.pretrained import PretrainedFeatures
from pdm.files import sha256_of


class Layers(nn.Module):
    """A network of random weights that sees texture and colour."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 7, stride=7)

    def forward(self, x):
        return torch.relu(self.conv(x)).mean((2, 3))


class Resizing(nn.Module):
    """As the standard Inception: what takes pictures resizes them, its `layers` do not."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, x):
        raise RuntimeError("this would resize by itself")


def saved(module, path):
    torch.manual_seed(0)
    torch.jit.script(module()).save(str(path))
    return path


@pytest.fixture
def file(tmp_path):
    return saved(Layers, tmp_path / "network.pt")


def described(path, kind="inception", convention="clean-fid", sha256=None):
    return FeaturesConfig(
        kind=kind, path=str(path), sha256=sha256 or sha256_of(path), convention=convention
    )


def pictures(count=3):
    return np.stack([landscape(seed) for seed in range(count)])


def test_the_network_sees_what_the_convention_makes_of_the_pictures(file):
    network = PretrainedFeatures(described(file))
    resized = networks.CONVENTIONS["clean-fid"](pictures(), 299)
    with torch.no_grad():
        expected = torch.jit.load(str(file))((resized - 128) / 128)
    np.testing.assert_allclose(network(pictures()), expected.double().numpy(), atol=1e-5)
    assert network.num_features == 6


def test_the_part_that_does_not_resize_is_called(tmp_path):
    path = saved(Resizing, tmp_path / "inception.pt")
    assert PretrainedFeatures(described(path))(pictures()).shape == (3, 6)


@pytest.mark.parametrize("kind", ["inception", "dinov2", "clip"])
def test_features_do_not_depend_on_the_batch(file, kind):
    network = PretrainedFeatures(described(file, kind))
    alone = np.concatenate([network(picture[None]) for picture in pictures()])
    np.testing.assert_allclose(network(pictures()), alone, rtol=1e-5, atol=1e-6)


def test_another_convention_gives_other_features(file):
    clean, fidelity = (
        PretrainedFeatures(described(file, convention=name))(pictures())
        for name in ("clean-fid", "torch-fidelity")
    )
    assert np.abs(clean - fidelity).max() > 1e-3


def test_a_missing_file_is_named_with_its_digest(tmp_path):
    with pytest.raises(Unavailable, match=r"nowhere\.pt \(sha256 a{64}\) does not exist"):
        PretrainedFeatures(described(tmp_path / "nowhere.pt", sha256="a" * 64))


def test_another_file_than_was_meant_is_refused(file):
    with pytest.raises(
        BadInput, match=f"has sha256 {sha256_of(file)}, but params.yaml says b{{64}}"
    ):
        PretrainedFeatures(described(file, sha256="b" * 64))


def test_a_file_that_is_no_torchscript_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"no network")
    with pytest.raises(BadInput, match="is not a TorchScript file"):
        PretrainedFeatures(described(path))


def test_a_network_for_something_else_is_refused(tmp_path):
    torch.jit.script(nn.Linear(4, 2)).save(str(tmp_path / "linear.pt"))
    with pytest.raises(BadInput, match="cannot compute features of images of 224x224"):
        PretrainedFeatures(described(tmp_path / "linear.pt", "dinov2"))


@pytest.mark.parametrize("wrong", [{"sha256": "abc"}, {"sha256": "A" * 64}])
def test_a_digest_that_is_none_is_refused(file, wrong):
    with pytest.raises(ValueError, match="64 digits"):
        dataclasses.replace(described(file), **wrong)


def test_one_network_by_one_convention_is_named_once(file):
    with pytest.raises(ValueError, match="at most once by each convention"):
        dataclasses.replace(CONFIG, features=(described(file), described(file)))


# through the stage


@pytest.fixture
def scored(evaluate_with, tmp_path):
    def run(*described_files):
        evaluate_with(dataclasses.replace(CONFIG, features=described_files))
        return json.loads((tmp_path / "metrics.json").read_text())

    return run


def test_a_network_of_ones_own_is_never_called_fid(scored, file):
    metrics = scored(described(file), described(file, "dinov2", "torchmetrics"))
    assert {"frechet_inception_clean-fid", "kernel_inception_clean-fid"} <= metrics.keys()
    assert {"frechet_dinov2_torchmetrics", "precision_dinov2_torchmetrics"} <= metrics.keys()
    assert not any("fid" in name.replace("clean-fid", "") for name in metrics)
    said = metrics["conventions"]["frechet_inception_clean-fid"]
    assert "resized as clean-fid does" in said
    assert sha256_of(file) in said


def test_the_standard_inception_gives_fid_by_the_name_of_its_convention(scored, file, monkeypatch):
    monkeypatch.setattr(networks, "STANDARD_INCEPTION", sha256_of(file))
    metrics = scored(described(file), described(file, convention="torch-fidelity"))
    for convention in ("clean-fid", "torch-fidelity"):
        names = [f"fid_{convention}", f"fid_{convention}_crops", f"kid_{convention}"]
        assert set(names) <= metrics.keys()
        assert all({"samples_vs_val", "train_vs_val"} <= metrics[name].keys() for name in names)


def test_features_that_are_not_finite_are_refused(evaluate_with, tmp_path):
    class Nothing(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) / 0.0

    path = tmp_path / "nothing.pt"
    torch.jit.script(Nothing()).save(str(path))
    with pytest.raises(QualityGate, match="not finite"):
        evaluate_with(dataclasses.replace(CONFIG, features=(described(path),)))


def test_a_missing_network_stops_the_stage_before_any_work(samples, shards, autoencoder, tmp_path):
    missing = described(tmp_path / "nowhere.pt", sha256="a" * 64)
    with pytest.raises(Unavailable):
        evaluate(
            dataclasses.replace(CONFIG, features=(missing,)),
            samples=samples,
            shards=shards,
            autoencoder=autoencoder,
            metrics=tmp_path / "metrics.json",
            plots=tmp_path / "plots",
            cache=tmp_path / "cache",
        )
    assert not (tmp_path / "metrics.json").exists()
