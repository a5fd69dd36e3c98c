import pytest
import torch
from torch import nn

from pdm.models.discriminator import PatchDiscriminator, ProjectedDiscriminator


def discriminator(width: int = 8, num_layers: int = 3) -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(width, num_layers)


def test_the_published_size_has_the_published_number_of_parameters():
    """pix2pix prints 2.769M for six channels of input; with three, the first layer has half."""
    count = sum(weight.numel() for weight in discriminator(64, 3).parameters())
    assert count == 2_768_705 - 3 * 64 * 16


@pytest.mark.parametrize(("num_layers", "side"), [(1, 6), (2, 12), (3, 24), (4, 48)])
def test_the_smallest_picture_gives_one_verdict(num_layers, side):
    assert discriminator(8, num_layers)(torch.zeros(1, 3, side, side)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize(("num_layers", "field"), [(2, 34), (3, 70)])
def test_a_discriminator_output_has_the_documented_receptive_field(num_layers, field):
    network = discriminator(8, num_layers)
    for index, layer in enumerate(network.layers):  # they see the whole, and would hide the patch
        if isinstance(layer, nn.GroupNorm):
            network.layers[index] = nn.Identity()
    images = torch.zeros(1, 3, 192, 192, requires_grad=True)
    verdicts = network(images)
    verdicts[0, 0, verdicts.shape[2] // 2, verdicts.shape[3] // 2].backward()
    seen = images.grad.abs().sum((0, 1))
    assert (seen.sum(0) > 0).sum() == field
    assert (seen.sum(1) > 0).sum() == field


def test_a_picture_is_judged_by_itself_whoever_lies_beside_it():
    network = discriminator().train()
    images = torch.randn(3, 3, 32, 32)
    single = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), single, atol=1e-5, rtol=1e-4)


def test_weights_start_small_and_equally_spread():
    layers = [layer for layer in discriminator(64).modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 5
    for layer in layers:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)


# projected


def features(count: int = 2) -> list[torch.Tensor]:
    shapes = [(32, 8, 12), (144, 4, 6), (240, 2, 3)]
    generator = torch.Generator().manual_seed(0)
    maps = (torch.randn(count, *shape, generator=generator) for shape in shapes)
    return [nn.functional.normalize(each, dim=1) for each in maps]


def projected() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator([32, 144, 240], 8)


def test_features_at_each_stride_get_a_logit_for_each_place():
    assert [tuple(logits.shape) for logits in projected()(*features())] == [
        (2, 1, 8, 12),
        (2, 1, 4, 6),
        (2, 1, 2, 3),
    ]


def test_a_logit_sees_features_of_its_own_stride_only():
    network, maps = projected(), features()
    before = network(*maps)
    maps[1] = maps[1].roll(1, dims=3)
    after = network(*maps)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_an_image_is_judged_by_itself():
    """So that the number of workers and accumulation change nothing."""
    network, maps = projected(), features()
    for both, alone in zip(network(*maps), network(*(each[:1] for each in maps)), strict=True):
        torch.testing.assert_close(both[:1], alone)


def test_features_of_too_few_strides_are_refused():
    with pytest.raises(ValueError, match="argument"):
        projected()(*features()[:2])
