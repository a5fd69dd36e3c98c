"""Part by part must be the same as the whole."""

import dataclasses

import pytest
import torch
from shared import tiny_pyramid

from pdm.config.networks.autoencoder_model import LevelConfig
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.regions import Region, Span

CONFIG = dataclasses.replace(
    tiny_pyramid.AUTOENCODER,
    levels=(
        LevelConfig(downsampling="global", channels=6, kl_weight=1e-6),
        LevelConfig(downsampling=32, channels=5, kl_weight=1e-6),
        LevelConfig(downsampling=8, channels=4, kl_weight=0.0),
        LevelConfig(downsampling=4, channels=3, kl_weight=1e-6),
    ),
    encoder_widths=(4, 8, 8, 8, 12, 12),
    decoder_widths=(4, 8, 8, 8, 12, 12),
    encoder_blocks=2,
    decoder_blocks=2,
    norm="pixel",
    attention_from=16,
    attention_ratio="equal",
    encoder_dropout=(0.0,) * 6,
    decoder_dropout=(0.0,) * 6,
)
VARIANTS = {
    "as designed": {},
    "one block": {"encoder_blocks": 1, "decoder_blocks": 1},
    "attention at 4": {"attention_from": 4},
    "no attention": {"attention_from": 4096},
    "orthogonal levels": {"orthogonal_levels": True},
    "residual": {"skips": "residual"},
    "input and output skips": {"skips": "input_output"},
    "levels at every resolution": {
        "levels": (
            LevelConfig(downsampling="global", channels=6, kl_weight=1e-6),
            *(
                LevelConfig(downsampling=2**power, channels=2, kl_weight=1e-6)
                for power in (5, 4, 3, 2, 1, 0)
            ),
        )
    },
    "two resolutions": {
        "levels": (
            LevelConfig(downsampling="global", channels=6, kl_weight=1e-6),
            LevelConfig(downsampling=2, channels=5, kl_weight=1e-6),
        ),
        "encoder_widths": (4, 8),
        "decoder_widths": (4, 8),
        "encoder_dropout": (0.0, 0.0),
        "decoder_dropout": (0.0, 0.0),
    },
}


@pytest.fixture(params=VARIANTS)
def model(request):
    torch.manual_seed(0)
    model = PyramidAutoencoder(dataclasses.replace(CONFIG, **VARIANTS[request.param])).eval()
    for weight in model.parameters():  # nothing at zero, so that every path says something
        torch.nn.init.normal_(weight, std=0.3) if weight.dim() == 1 else None
    return model


@pytest.mark.parametrize("place", [(0, 0, 17, 64), (40, 101, 50, 33), (111, 255, 17, 65)])
@torch.no_grad()
def test_a_window_anywhere_is_what_the_whole_picture_has_there(model, place):
    torch.manual_seed(1)
    pyramid = tuple(torch.randn(2, *shape) for shape in model.level_shapes(128, 320))
    top, left, height, width = place
    region = Region(Span(top, top + height), Span(left, left + width), 128, 320)
    for count in (1, len(pyramid)):
        whole = model.decode_raw(pyramid[:count], (128, 320))
        found = model.decode_region(pyramid[:count], region)
        torch.testing.assert_close(found, region.of(whole), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(128, 320), (192, 64), (160, 224)])
@torch.no_grad()
def test_tiles_encode_and_decode_as_the_whole_picture_does(model, size):
    torch.manual_seed(1)
    images = torch.rand(2, 3, *size) * 2 - 1
    whole, tiled = model.posterior(images), model.posterior(images, tile_px=64)
    for one, other in zip((*whole[0], *whole[1]), (*tiled[0], *tiled[1]), strict=True):
        if one is None or other is None:
            assert one is other
            continue
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    for count in range(1, len(whole[0]) + 1):
        prefix = whole[0][:count]
        found = model.decode_raw(prefix, size, tile_px=64)
        torch.testing.assert_close(found, model.decode_raw(prefix, size), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_standardised_latents_pass_through_tiles_too():
    torch.manual_seed(0)
    model = PyramidAutoencoder(CONFIG).eval()
    channels = model.level_channels
    model.set_statistics(
        [torch.full((n,), 0.5) for n in channels], [torch.ones(n) for n in channels]
    )
    images = torch.rand(1, 3, 128, 192) * 2 - 1
    latents = model.encode(images, tile_px=64)
    for one, other in zip(model.encode(images), latents, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    decoded = model.decode(latents, tile_px=64)
    torch.testing.assert_close(decoded, model.decode(latents), atol=2e-5, rtol=1e-4)


def test_a_network_that_norms_over_whole_maps_is_refused():
    model = PyramidAutoencoder(dataclasses.replace(CONFIG, norm="group")).eval()
    with pytest.raises(ValueError, match="norm: group"):
        model.encode(torch.zeros(1, 3, 64, 64), tile_px=64)


@pytest.mark.parametrize("tile_px", [0, -64, 100])
def test_a_tile_that_is_no_multiple_of_64_is_refused(tile_px):
    model = PyramidAutoencoder(CONFIG).eval()
    with pytest.raises(ValueError, match=str(tile_px)):
        model.encode(torch.zeros(1, 3, 64, 64), tile_px=tile_px)
