import pytest
import torch
from torch.nn import functional as F

from pdm.models.features.efficientnet_lite import standardise
from pdm.models.features.feature_distance import FeatureDistance
from pdm.models.features.published_weights import load_published


@pytest.fixture(scope="module")
def distance():
    return FeatureDistance(load_published())


def textures(count: int, height: int = 64, width: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    small = torch.randn(count, 3, height // 4, width // 4, generator=generator)
    return torch.tanh(F.interpolate(small, scale_factor=4, mode="bicubic"))


def blurred(images: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(F.avg_pool2d(images, factor), scale_factor=factor, mode="bilinear")


def test_equal_images_are_0_apart_and_the_order_does_not_matter(distance):
    images = textures(4)
    assert torch.equal(distance(images, images), torch.zeros(4))
    ways = distance(images[:2], images[2:]), distance(images[2:], images[:2])
    torch.testing.assert_close(*ways)
    assert (ways[0] > 0).all()


def test_more_blur_is_farther(distance):
    images = textures(2)
    distances = [distance(blurred(images, factor), images).mean() for factor in (2, 4, 8, 16)]
    assert distances == sorted(distances)


def test_blur_is_farther_than_a_shift_of_brightness_with_the_same_error(distance):
    images = textures(2) * 0.8
    blur = blurred(images, 4)
    shift = (blur - images).square().mean().sqrt()
    assert distance(blur, images).mean() > 2 * distance(images + shift, images).mean()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 128), (97, 130)])
def test_features_have_the_strides_that_they_say(distance, height, width):
    maps = distance.directions(torch.zeros(2, 3, height, width))
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, -(-height // stride), -(-width // stride))
        for channels, stride in ((32, 2), (144, 4), (240, 8), (672, 16))
    ]


def test_the_features_are_those_of_the_network(distance):
    network, images = load_published(), textures(1)
    x = F.relu6(network.stem(standardise(images)))
    for block in network.blocks[:3]:
        x = block(x)
    inner = F.relu6(network.blocks[3].expand(x))
    ours = distance.directions(images)[1]
    torch.testing.assert_close(ours, F.normalize(inner, dim=1), atol=1e-2, rtol=0)


def test_gradients_are_finite_from_a_cold_start_and_lead_to_the_images(distance):
    """An untrained decoder gives grey images."""
    images = textures(2, 32, 64)
    found = torch.zeros_like(images, requires_grad=True)
    optimizer = torch.optim.Adam([found], lr=0.05)
    before = distance(found, images).mean()
    for _ in range(20):
        optimizer.zero_grad()
        distance(found, images).mean().backward()
        assert found.grad.isfinite().all()
        optimizer.step()
    assert distance(found, images).mean() < 0.5 * before


# texture


@pytest.fixture(scope="module")
def with_texture():
    return FeatureDistance(load_published(), texture=2.0)


def grain(count: int, seed: int, amount: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return amount * torch.randn(count, 3, 64, 128, generator=generator).clamp(-3, 3)


def test_texture_only_adds_and_leaves_equal_images_at_0(distance, with_texture):
    images, others = textures(2), grain(2, 0)
    assert torch.equal(with_texture(images, images), torch.zeros(2))
    assert (with_texture(images, others) > distance(images, others)).all()


def test_with_texture_other_grain_of_the_same_kind_is_nearer_than_none(distance, with_texture):
    """Place by place, plain grey is as near to grain as other grain is."""
    wanted, other, plain = grain(4, 0), grain(4, 1), torch.zeros(4, 3, 64, 128)
    texture = [
        (with_texture(found, wanted) - distance(found, wanted)).mean() for found in (other, plain)
    ]
    assert texture[0] < 0.2 * texture[1]
    assert with_texture(other, wanted).mean() < with_texture(plain, wanted).mean()


def test_half_of_the_grain_is_between_none_and_all_of_it(distance, with_texture):
    wanted = grain(4, 0)
    texture = [
        (with_texture(grain(4, 1, amount), wanted) - distance(grain(4, 1, amount), wanted)).mean()
        for amount in (0.3, 0.1, 0.03)
    ]
    assert texture == sorted(texture)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (97, 130)])
def test_texture_of_any_size_has_finite_gradients_where_an_image_is_plain(
    with_texture, height, width
):
    found = torch.zeros(2, 3, height, width, requires_grad=True)
    with_texture(found, torch.rand(2, 3, height, width) * 2 - 1).sum().backward()
    assert found.grad.isfinite().all()
    assert found.grad.abs().sum() > 0
