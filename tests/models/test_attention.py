import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pdm.models.layers.attention import (
    SpatialChannelAttention,
    channel_attention,
    importance,
    spatial_attention,
)

ROWS = [  # side, channels, and the two weights as tabulated for PDM's sizes
    (256, 64, 0.9990, 0.0010),
    (128, 128, 0.9922, 0.0078),
    (64, 256, 0.9412, 0.0588),
    (32, 256, 0.8000, 0.2000),
    (16, 512, 0.3333, 0.6667),
    (8, 512, 0.1111, 0.8889),
    (4, 512, 0.0303, 0.9697),
    (1, 512, 0.0019, 0.9981),
]


@pytest.mark.parametrize(("side", "channels", "spatial", "channel"), ROWS)
def test_importance_follows_the_counts_of_pixels_and_channels(side, channels, spatial, channel):
    found = importance(side * side, channels, "shape")
    assert found == pytest.approx((spatial, channel), abs=5e-5)
    assert sum(found) == pytest.approx(1.0)


def test_equal_weights_do_not_depend_on_the_size():
    assert importance(1, 512, "equal") == importance(256 * 256, 64, "equal") == (0.5, 0.5)


def heads(pixels: int, channels: int = 8) -> tuple[torch.Tensor, ...]:
    return torch.randn(3, 4, pixels, channels, generator=torch.Generator().manual_seed(0))


def test_spatial_attention_is_the_textbook_formula():
    query, key, value = heads(6)
    weights = (query @ key.mT / 8**0.5).softmax(-1)  # (pixels, pixels)
    expected = weights @ value
    torch.testing.assert_close(spatial_attention(query, key, value), expected)


def test_channel_attention_mixes_channels_by_their_correlation_over_pixels():
    query, key, value = heads(16)
    weights = (torch.einsum("bnc,bnd->bcd", query, key) / 4).softmax(-1)
    expected = torch.einsum("bcd,bnd->bnc", weights, value)
    torch.testing.assert_close(channel_attention(query, key, value), expected)


def test_spatial_attention_over_one_pixel_returns_its_value():
    query, key, value = heads(1)
    torch.testing.assert_close(spatial_attention(query, key, value), value)


def built(width: int, *, spectral_norm: bool = False, **choice) -> SpatialChannelAttention:
    chosen = {"norm": "group", "ratio": "shape"} | choice
    return SpatialChannelAttention(width, spectral_norm=spectral_norm, **chosen)


def parts(module: SpatialChannelAttention, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    batch, _channels, height, width = features.shape
    stacked = module.query_key_value(module.norm(features))
    heads = stacked.reshape(batch, 3, module.num_heads, -1, height * width)
    query, key, value = heads.transpose(0, 1).flatten(1, 2).mT
    found = spatial_attention(query, key, value), channel_attention(query, key, value)
    return tuple(module.projection(part.mT.reshape(features.shape)) for part in found)


def attention(width: int) -> SpatialChannelAttention:
    """As after some training: its projection is not zero any more."""
    torch.manual_seed(0)
    module = built(width)
    torch.nn.init.normal_(module.projection.weight, std=width**-0.5)
    return module


@torch.no_grad()
def test_before_training_it_only_scales_its_input():
    features = torch.randn(1, 8, 4, 6)
    module = built(8, spectral_norm=True)
    torch.testing.assert_close(module(features), features / 2**0.5)


@torch.no_grad()
def test_many_pixels_leave_only_spatial_attention():
    features = torch.randn(1, 4, 48, 96)
    module = attention(4)
    spatial, _ = parts(module, features)
    torch.testing.assert_close(module(features), (features + spatial) / 2**0.5, atol=5e-3, rtol=0)


@torch.no_grad()
def test_many_channels_leave_only_channel_attention():
    features = torch.randn(1, 512, 1, 2)
    module = attention(512)
    _, channel = parts(module, features)
    torch.testing.assert_close(module(features), (features + channel) / 2**0.5, atol=2e-2, rtol=0)


@pytest.mark.parametrize("width", [4, 48, 96, 160, 192, 512])
def test_heads_divide_every_width_and_hold_at_most_64_channels(width):
    count = built(width).num_heads
    assert width % count == 0
    assert width // count <= 64


class Names(TorchDispatchMode):
    """Collects the names of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found.add(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [False, True])
def test_pixels_attend_by_a_fused_kernel_in_both_layouts(layout, training):
    module = built(64).train(training).to(memory_format=layout)
    features = torch.randn(2, 64, 8, 8).contiguous(memory_format=layout)
    with Names() as names, torch.set_grad_enabled(training):
        module(features)
    assert any("flash" in name or "efficient" in name for name in names.found)
