"""The network of published weights, against what the package `efficientnet-lite-pytorch` 0.1.0,
which was written beside these weights, gives for the same picture."""

import pytest
import torch

from pdm.errors import BadInput, Unavailable
from pdm.models import efficientnet_lite
from pdm.models.efficientnet_lite import TAP_WIDTHS, load_published
from pdm.weights import packaged_file


@pytest.fixture(scope="module")
def network():
    return load_published()


def waves(side_px: int) -> torch.Tensor:
    line = torch.linspace(-1, 1, side_px)
    down, across = torch.meshgrid(line, line, indexing="ij")
    colours = [torch.sin(9 * down) * across, torch.cos(7 * across), down * across]
    return torch.stack(colours)[None]


def test_logits_are_those_of_the_reference(network):
    logits = network(waves(224))[0]
    assert logits.topk(3).indices.tolist() == [885, 653, 906]
    theirs = [0.2501, -0.7097, -0.7724, -0.241, -1.4595, -2.4379, -1.1893, -0.4178]
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
        packaged_file(efficientnet_lite.PACKAGE, efficientnet_lite.FILE, "0" * 64)
