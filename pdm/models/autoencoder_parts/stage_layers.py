"""Layers that the stages of encoder and decoder have in common, as the config asks for them."""

from torch import nn

from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.models.layers.attention import SpatialChannelAttention
from pdm.models.layers.blocks import PlainBlock, ResidualBlock


def block_type(config: AutoencoderModelConfig) -> type[PlainBlock]:
    """Return the kind of block: `input_output` has no residual connections."""
    return PlainBlock if config.skips == "input_output" else ResidualBlock


def attention_at(
    config: AutoencoderModelConfig, index: int, width: int, *, spectral_norm: bool
) -> nn.Module:
    """Make the attention of the resolution at downsampling 2^index; the identity if it has none."""
    if 2**index < config.attention_from:
        return nn.Identity()
    return SpatialChannelAttention(
        width, norm=config.norm, ratio=config.attention_ratio, spectral_norm=spectral_norm
    )
