"""The networks that are compared, with random weights."""

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from benchmarks.shared.networks import to_channels_last
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig, LevelConfig
from pdm.models.autoencoder import PyramidAutoencoder


def kl_f8(base_width: int) -> AutoencoderKL:
    """diffusers' own; a base width of 128 gives the published network."""
    network: AutoencoderKL = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[base_width * factor for factor in (1, 2, 4, 4)],
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,  # the side of its tiles
    )
    return network.eval()


def pyramid_like_kl_f8(base_width: int) -> PyramidAutoencoder:
    """A pyramid autoencoder with within 3 % as many parameters as `kl_f8` of this width has.

    Light encoder, heavy decoder, thin where maps are large; latents of as many values as KL f8's.
    """
    unit = base_width // 16
    config = AutoencoderModelConfig(
        levels=(
            LevelConfig(downsampling="global", channels=64, kl_weight=1.0e-6),
            LevelConfig(downsampling=32, channels=16, kl_weight=1.0e-6),
            LevelConfig(downsampling=16, channels=4, kl_weight=1.0e-6),
            LevelConfig(downsampling=8, channels=2, kl_weight=1.0e-6),
        ),
        encoder_widths=tuple(unit * factor for factor in (2, 4, 8, 16, 32, 64)),
        decoder_widths=tuple(unit * factor for factor in (4, 12, 36, 72, 84, 88)),
        encoder_blocks=1,
        decoder_blocks=2,
        norm="pixel",
        attention_from=16,
        attention_ratio="equal",
        encoder_dropout=(0.0,) * 6,
        decoder_dropout=(0.0,) * 6,
        encoder_spectral_norm=True,
        decoder_spectral_norm=False,
        skips="res_skip",
        orthogonal_levels=False,
        residual_levels=False,
    )
    return to_channels_last(PyramidAutoencoder(config).eval())
