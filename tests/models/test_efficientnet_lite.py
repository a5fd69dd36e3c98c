"""The networks of published weights, against what the package `efficientnet-lite-pytorch` 0.1.0,
which was written beside these weights, gives for the same picture."""

import pytest
import torch

from pdm.errors import BadInput, Unavailable
from pdm.models.features import efficientnet_lite
from pdm.models.features.efficientnet_lite import TAP_WIDTHS
from pdm.models.features.published_weights import load_published
from pdm.models.features.variants import LITE0, VARIANTS
from pdm.weights import packaged_file


@pytest.fixture(scope="module")
def network():
    return load_published()


def waves(side_px: int) -> torch.Tensor:
    line = torch.linspace(-1, 1, side_px)
    down, across = torch.meshgrid(line, line, indexing="ij")
    colours = [torch.sin(9 * down) * across, torch.cos(7 * across), down * across]
    return torch.stack(colours)[None]


@pytest.mark.parametrize(
    ("name", "best", "theirs"),
    [
        (
            *("efficientnet-lite0", [885, 653, 906]),
            [0.2501, -0.7097, -0.7724, -0.241, -1.4595, -2.4379, -1.1893, -0.4178],
        ),
        (
            *("efficientnet-lite1", [854, 585, 335]),
            [1.0072, 0.2698, 0.1453, 1.2766, -1.9467, -2.197, -1.2637, -0.5682],
        ),
        (
            *("efficientnet-lite2", [585, 854, 794]),
            [-1.217, -0.2771, -0.7, 0.7241, -2.1985, -1.8515, -0.5878, -0.9648],
        ),
    ],
)
def test_logits_are_those_of_the_reference(name, best, theirs):
    logits = load_published(name)(waves(VARIANTS[name].side_px))[0]
    assert logits.topk(3).indices.tolist() == best
    assert logits[::125].tolist() == pytest.approx(theirs, abs=2e-3)


def test_features_are_those_of_the_reference(network):
    features = network.features(waves(224))[0]
    assert features.mean().item() == pytest.approx(0.1523, abs=1e-3)
    assert features.std().item() == pytest.approx(0.4884, abs=1e-3)
    assert features.argmax() == 71
    assert features.max().item() == pytest.approx(5.5638, abs=2e-3)


@pytest.mark.parametrize(("height", "width"), [(160, 320), (97, 130)])
def test_taps_have_the_strides_that_they_say(network, height, width):
    maps = network.taps(torch.zeros(2, 3, height, width))
    sizes = [
        (2, wide, -(-height // s), -(-width // s))
        for wide, s in zip(TAP_WIDTHS, (4, 8, 16, 32), strict=True)
    ]
    assert [tuple(each.shape) for each in maps] == sizes
    assert network.features(torch.zeros(2, 3, height, width)).shape == (2, 1280)


def test_an_image_has_the_same_features_in_any_batch(network):
    one, other = waves(96), -waves(96)
    both = network.features(torch.cat([one, other]))
    assert torch.allclose(both[:1], network.features(one), atol=1e-5)


def test_a_package_that_is_missing_or_another_is_named():
    with pytest.raises(Unavailable, match="is not installed"):
        packaged_file("no_such_package", "weights.pth", "")
    with pytest.raises(BadInput, match="install the version"):
        packaged_file(LITE0.package, LITE0.file, "0" * 64)


def test_a_network_whose_package_is_missing_says_what_to_install(monkeypatch):
    missing = LITE0._replace(name="no-such-network")
    monkeypatch.setitem(VARIANTS, missing.name, missing)
    with pytest.raises(Unavailable, match=r"no-such-network-pytorch-model.*\[networks\]"):
        load_published(missing.name)
    with pytest.raises(BadInput, match="resnet: no such network; there are efficientnet-lite0"):
        load_published("resnet")


def test_input_in_pixel_values_is_what_the_networks_were_trained_on():
    pixels = torch.tensor([0.0, 127.0, 255.0])
    images = pixels / 127.5 - 1
    torch.testing.assert_close(efficientnet_lite.standardise(images), (pixels - 127) / 128)
