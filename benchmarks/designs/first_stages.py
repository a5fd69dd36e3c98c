"""The autoencoders whose quality is compared: equal latent values, parameters within 5 %.

`kl-f8` and `kl-f16` are LDM's, in the same trainer. Every other design is the pyramid with one
change.
"""

import dataclasses
from typing import Any

import torch

from benchmarks.shared.networks import to_channels_last
from pdm.baselines.first_stage import KLFirstStage
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig, LevelConfig
from pdm.config.networks.first_stage import FirstStageConfig, FirstStageName
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.training.loop import TrainingConfig
from pdm.models.autoencoder_parts.encoder import INITIAL_LOG_VARIANCE
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Downsampling
from pdm.registry import build_autoencoder

SIDE_PX = 64
KL_WEIGHT = 1.0e-6  # LDM's value; of a mean over values for the pyramid, of LDM's sum for LDM
LEARNING_RATE = 2e-3

# Base widths that give equal parameters
BASELINES: dict[FirstStageName, int] = {"kl-f8": 14, "kl-f16": 15}


def level_configs(
    *levels: tuple[Downsampling, int], kl_weight: float = KL_WEIGHT
) -> tuple[LevelConfig, ...]:
    """Return levels of the downsamplings and channels, coarse to fine."""
    return tuple(
        LevelConfig(downsampling=factor, channels=channels, kl_weight=kl_weight)
        for factor, channels in levels
    )


# 32 + 2x2x8 + 4x4x4 + 8x8x2 = 256 values of a 64x64 picture, as many as those of f8 and f16
LEVELS: tuple[tuple[Downsampling, int], ...] = (("global", 32), (32, 8), (16, 4), (8, 2))
NO_DROPOUT = (0.0,) * 6

PYRAMID = AutoencoderModelConfig(
    levels=level_configs(*LEVELS),
    encoder_widths=(4, 8, 12, 16, 28, 48),
    decoder_widths=(8, 16, 36, 60, 72, 72),
    encoder_blocks=1,
    decoder_blocks=2,
    norm="pixel",
    attention_from=16,
    attention_ratio="equal",
    encoder_dropout=(0.0, 0.0, 0.0, 0.02, 0.05, 0.1),
    decoder_dropout=(0.0, 0.0, 0.0, 0.0, 0.0, 0.05),
    encoder_spectral_norm=True,
    decoder_spectral_norm=False,
    skips="res_skip",
    orthogonal_levels=False,
    residual_levels=False,
)

# What is changed, by the name of the row
MODEL_ABLATIONS: dict[str, dict[str, Any]] = {
    "without attention": {"attention_from": 4096},
    "attention by the shape's ratio": {"attention_ratio": "shape"},
    "residual alone": {"skips": "residual"},
    "input and output skips alone": {"skips": "input_output"},
    "without spectral norm": {"encoder_spectral_norm": False},
    "without dropout": {"encoder_dropout": NO_DROPOUT, "decoder_dropout": NO_DROPOUT},
    "dropout equal at all resolutions": {"encoder_dropout": (0.03,) * 6},
    "group norm": {"norm": "group"},
    "without KL": {"levels": level_configs(*LEVELS, kl_weight=0.0)},
    "nearly one latent (8x8x4, and 5 values)": {
        "levels": level_configs(("global", 1), (32, 1), (8, 4))
    },
}
LOSS_ABLATIONS: dict[str, dict[str, Any]] = {
    "without partial outputs": {"partial_loss_weight": 0.0},
}
ABLATIONS = (*MODEL_ABLATIONS, *LOSS_ABLATIONS)


def config_of(design: str, seed: int, learning_rate: float, total_images: int) -> AutoencoderConfig:
    """All settings of a run of the design ("pyramid", one of BASELINES or one of ABLATIONS)."""
    model = dataclasses.replace(PYRAMID, **MODEL_ABLATIONS.get(design, {}))
    baselines = [
        FirstStageConfig(
            name=name, base_width=width, latent_scale="channel", latent_weight=KL_WEIGHT
        )
        for name, width in BASELINES.items()
        if name == design
    ]
    config = AutoencoderConfig(
        image_height_px=SIDE_PX,
        image_width_px=SIDE_PX,
        model=model,
        baseline=baselines[0] if baselines else None,
        init_from=None,
        pixel_loss="l1",
        perceptual=None,
        adversarial=None,
        gradient_loss_weight=1.0,
        partial_loss_weight=0.25,
        equivariance_loss_weight=0.0,
        horizontal_flip=0.5,
        crop_px=None,
        close_up=0.0,
        training=_training(seed, learning_rate, total_images),
    )
    return dataclasses.replace(config, **LOSS_ABLATIONS.get(design, {}))


def build(config: AutoencoderConfig) -> Autoencoder:
    """The network with random weights, channels last, which is faster.

    LDM's latents start with as little noise as the pyramid's. With PyTorch's initial weights they
    would start with as much noise as signal, and a short training would go into unlearning it.
    """
    model = build_autoencoder(config)
    if isinstance(model, KLFirstStage):
        quiet = model.network.quant_conv.weight.shape[0] // 2
        with torch.no_grad():
            model.network.quant_conv.weight[quiet:] = 0
            model.network.quant_conv.bias[quiet:] = INITIAL_LOG_VARIANCE
    return to_channels_last(model)


def _training(seed: int, learning_rate: float, total_images: int) -> TrainingConfig:
    return TrainingConfig(
        num_workers=1,
        strategy="ddp",
        batch_size=8,
        accumulation=1,
        total_images=total_images,
        optimizer="adamw",
        betas=(0.9, 0.999),
        learning_rate=learning_rate,
        warmup_images=320,
        schedule="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_skipped_steps=0,
        ema_half_life_images=800,
        ema_lengths=(),
        precision="float32",
        checkpoint_activations=False,
        compile=False,
        log_every_images=800,
        save_every_images=total_images,
        keep_checkpoints=1,
        keep_every_images=None,
        keep_runs=1,
        seed=seed,
    )
