import dataclasses
import hashlib

import pytest
import torch
from torch import Tensor, nn

from pdm.config.fingerprint import neutral_settings, settings_of_run
from pdm.config.stages.autoencoder import PerceptualConfig
from pdm.errors import BadInput, Unavailable
from pdm.models.features.torchscript import make_network
from pdm.models.features.variants import VARIANTS
from pdm.training.objectives.perceptual import load_perceptual, network_name

CPU = torch.device("cpu")


class Features(nn.Module):
    """What LPIPS does, small: distance of features, one number for each picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (self.conv(first) - self.conv(second)).square().mean(dim=(1, 2, 3), keepdim=True)


class Single(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean()


class Similar(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return 1 - (first - second).abs().mean()


class Pair(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return first, second


@pytest.fixture
def saved(tmp_path):
    """Writes a module as TorchScript and gives the settings that name it."""

    def saved(module: nn.Module, weight: float = 1.0) -> PerceptualConfig:
        path = tmp_path / "distance.pt"
        torch.jit.script(module).save(str(path))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return PerceptualConfig(path=str(path), sha256=digest, weight=weight)

    return saved


def test_a_loaded_distance_is_that_of_the_module_and_takes_no_part_in_training(saved):
    module = Features()
    perceptual = load_perceptual(saved(module), CPU)
    found, wanted = torch.randn(2, 3, 16, 16, requires_grad=True), torch.randn(2, 3, 16, 16)
    distance = perceptual(found, wanted)
    torch.testing.assert_close(distance, module(found, wanted).mean())
    distance.backward()
    assert found.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in perceptual.parameters())


def test_every_call_gives_the_same_bits(saved):
    """TorchScript would rewrite the module after its first calls; a resumed run is a first call."""
    perceptual = load_perceptual(saved(Features()), CPU)
    found, wanted = torch.randn(2, 3, 32, 32, requires_grad=True), torch.randn(2, 3, 32, 32)
    results = []
    for _ in range(4):
        distance = perceptual(found, wanted)
        (gradient,) = torch.autograd.grad(distance, found)
        results.append((distance.detach(), gradient))
    for distance, gradient in results[1:]:
        assert torch.equal(distance, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_another_file_than_was_meant_is_refused_with_both_digests(saved):
    meant = saved(Features())
    found = saved(Features())
    with pytest.raises(BadInput) as caught:
        load_perceptual(meant, CPU)
    for text in (meant.path, meant.sha256, found.sha256):
        assert text in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    config = PerceptualConfig(path=str(tmp_path / "lpips.pt"), sha256="0" * 64, weight=1.0)
    with pytest.raises(BadInput, match=r"lpips\.pt cannot be read"):
        load_perceptual(config, CPU)


def test_a_file_that_is_no_torchscript_is_refused(tmp_path):
    path = tmp_path / "lpips.pt"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(BadInput, match="is not a TorchScript module"):
        load_perceptual(PerceptualConfig(path=str(path), sha256=digest, weight=1.0), CPU)


@pytest.mark.parametrize("module", [Single(), Pair()])
def test_a_module_that_takes_or_gives_something_else_is_refused(saved, module):
    with pytest.raises(BadInput, match="takes two batches of images and returns their distances"):
        load_perceptual(saved(module), CPU)


def test_a_similarity_is_refused_as_a_distance(saved):
    with pytest.raises(BadInput, match=r"returns 1\.0 for equal images"):
        load_perceptual(saved(Similar()), CPU)


# networks that packages ship

LITE0 = PerceptualConfig(network="efficientnet-lite0", weight=0.15)


def textures(count: int) -> Tensor:
    return torch.rand(count, 3, 32, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_network_by_name_gives_what_its_file_gives(tmp_path):
    made = make_network("efficientnet-lite0", "perceptual", tmp_path / "lite0.pt")
    file = PerceptualConfig(path=str(made.path), sha256=made.sha256, weight=0.15)
    images = textures(4)
    distances = [load_perceptual(each, CPU)(images[:2], images[2:]) for each in (LITE0, file)]
    torch.testing.assert_close(*distances)
    assert network_name(file) == network_name(LITE0) == "efficientnet-lite0"


def test_a_file_of_another_origin_has_no_name(saved):
    assert network_name(saved(Features())) is None


def test_a_network_by_name_is_frozen_and_passes_gradients_on():
    perceptual = load_perceptual(LITE0, CPU)
    found = textures(2).requires_grad_()
    perceptual(found, textures(4)[2:]).backward()
    assert found.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in perceptual.parameters())
    assert not perceptual.network.training


def test_texture_is_part_of_the_distance():
    images = textures(4)
    plain, textured = (
        load_perceptual(dataclasses.replace(LITE0, texture=weight), CPU) for weight in (0.0, 2.0)
    )
    assert textured(images[:2], images[2:]) > plain(images[:2], images[2:])


def test_in_bfloat16_the_network_still_computes_in_float32():
    perceptual, images = load_perceptual(LITE0, CPU), textures(4)
    with torch.autocast("cpu", torch.bfloat16):
        inside = perceptual(images[:2], images[2:])
    assert torch.equal(inside, perceptual(images[:2], images[2:]))


def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    other = VARIANTS["efficientnet-lite0"]._replace(name="efficientnet-lite9")
    monkeypatch.setitem(VARIANTS, "efficientnet-lite0", other)
    with pytest.raises(Unavailable, match=r"efficientnet-lite9-pytorch-model.*\[networks\]"):
        load_perceptual(LITE0, CPU)


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "lpips.pt", "sha256": "0" * 64},
        {"network": None},
        {"network": None, "path": "lpips.pt"},
        {"network": None, "path": "lpips.pt", "sha256": "abc"},
        {"network": None, "path": "lpips.pt", "sha256": "0" * 64, "texture": 1.0},
        {"texture": -1.0},
    ],
)
def test_settings_name_a_network_or_a_file_with_its_digest(wrong):
    with pytest.raises(ValueError, match=r"path|sha256|texture"):
        dataclasses.replace(LITE0, **wrong)


def test_the_name_of_a_run_by_a_file_is_what_it_was_before_networks_had_names():
    config = PerceptualConfig(path="lpips.pt", sha256="0" * 64, weight=1.0)
    settings, neutral = settings_of_run(config), neutral_settings(config)
    named = {name: value for name, value in settings.items() if value != neutral.get(name, ...)}
    assert named == {"path": "lpips.pt", "sha256": "0" * 64, "weight": 1.0}
