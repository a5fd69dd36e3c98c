"""A tiny chain of trained models: shards, autoencoder, latents, diffusion model, without Ray."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training_settings import TRAINING

from pdm.config.autoencoder import AutoencoderConfig
from pdm.config.autoencoder_model import AutoencoderModelConfig, LevelConfig
from pdm.config.diffusion import DiffusionConfig
from pdm.config.first_stage import FirstStageConfig
from pdm.config.latent_unet import LatentUNetConfig
from pdm.config.latents import LatentsConfig
from pdm.config.sample import SampleConfig
from pdm.config.unet import UNetConfig
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.sample_grid import SampleGrid
from pdm.training.monitoring.sample_scores import SampleScorer

TRAINING = replace(TRAINING, warmup_images=8)
AUTOENCODER = AutoencoderConfig(
    image_height_px=16,
    image_width_px=32,
    model=AutoencoderModelConfig(
        levels=(
            LevelConfig(downsampling="global", channels=6, kl_weight=1e-6),
            LevelConfig(downsampling=8, channels=4, kl_weight=0.0),
            LevelConfig(downsampling=4, channels=3, kl_weight=1e-6),
        ),
        encoder_widths=(4, 8, 8, 8),
        decoder_widths=(4, 8, 8, 8),
        encoder_blocks=1,
        decoder_blocks=1,
        norm="group",
        attention_from=8,
        attention_ratio="shape",
        encoder_dropout=(0.0, 0.0, 0.1, 0.1),
        decoder_dropout=(0.0, 0.0, 0.0, 0.1),
        encoder_spectral_norm=True,
        decoder_spectral_norm=False,
        skips="res_skip",
        orthogonal_levels=False,
        residual_levels=False,
    ),
    baseline=None,
    init_from=None,
    pixel_loss="l1",
    perceptual=None,
    adversarial=None,
    gradient_loss_weight=1.0,
    partial_loss_weight=0.25,
    equivariance_loss_weight=0.1,
    horizontal_flip=0.5,
    crop_px=None,
    close_up=0.3,
    training=TRAINING,
)
DIFFUSION = DiffusionConfig(
    task=None,
    model=UNetConfig(
        widths=(8, 8),
        blocks=(1, 1),
        embedding_width=32,
        branches=True,
        windows=((0.0, 0.7), (0.1, 0.8), (0.3, 1.0)),
        level_times=None,
        time_embedding="joint",
        predicts=None,
        input_stream=True,
        output_stream=False,
        resampling="box",
        attention_from=8,
        attention_ratio="shape",
        dropout=(0.0, 0.1),
        dropout_falls=True,
        spectral_norm=True,
        condition=None,
    ),
    baseline=None,
    init_from=None,
    timesteps="logit_normal",
    time_shift=1.0,
    time_margin=0.0,
    finished_level_noise=0.0,
    level_loss_weights=(1.0, 1.0, 1.0),
    condition_dropout=0.1,
    lora=None,
    distil=None,
    score_images=9,
    training=replace(TRAINING, ema_lengths=(0.05, 0.1)),
)
LATENTS = LatentsConfig(batch_size=3, flipped_copies=True, storage="float32", keep_pictures=False)
SAMPLE = SampleConfig(
    num_images=5,
    seed=7,
    sampler="heun",
    steps=3,
    tolerance=1e-2,
    eta=0.0,
    time_shift=1.0,
    time_margin=0.001,
    precision="float32",
    batch_size=2,
    classes=None,
    prompts=None,
    negative_prompt=None,
    layouts=None,
    ema_length=None,
    guidance_scale=1.0,
    guide=None,
    guidance_interval=(0.0, 1.0),
    clamp_latents=4.0,
    previews=None,
    full_size_picture=True,
    tile_px=None,
    size=None,
    enlarger=None,
    tiling="fstd",
    colour="wavelet",
)


def sample_of(seed: int) -> tuple[str, dict[str, bytes]]:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((128, 64), Image.Resampling.BICUBIC).save(file, "PNG")
    key = f"{seed:020x}"
    return key, {"png": file.getvalue(), "json": json.dumps({"key": key}).encode()}


def write_shards(folder: Path, first_seed: int = 0) -> Path:
    folder.mkdir()
    splits: dict[str, list[manifest.Shard]] = {"train": [], "val": []}
    for split, number, seeds in (("train", 0, (0, 1, 2)), ("train", 1, (3, 4)), ("val", 0, (5, 6))):
        path = folder / f"{split}-{number:06}.tar"
        tars.write_tar(path, (sample_of(first_seed + seed) for seed in seeds))
        splits[split].append(manifest.Shard.of(path, len(seeds)))
    pictures = (
        Listed(f"{first_seed + seed:020x}", f"{seed:064x}", "train" if seed < 5 else "val")
        for seed in range(7)
    )
    listing.write(folder, pictures)
    manifest.Manifest(splits, {"width_px": 128, "height_px": 64}).save(folder)
    return folder


@dataclass(frozen=True)
class Chain:
    shards: Path
    autoencoder: Path
    latents: Path
    diffusion: Path
    autoencoder_run: Path
    diffusion_run: Path


def train_autoencoder(
    folder: Path, shards: Path, seed: int = 0, baseline: FirstStageConfig | None = None
) -> tuple[Path, Path]:
    config = replace(AUTOENCODER, training=replace(TRAINING, seed=seed), baseline=baseline)
    if baseline:  # LDM's denoising networks halve a latent three times
        config = replace(config, image_height_px=32, image_width_px=64)
    settings = autoencoder.Settings(config, shards, folder / "run", folder / "model")
    autoencoder._work(settings, Workers(torch.device("cpu")))
    return settings.run, settings.model


def train_chain(
    folder: Path,
    baseline: FirstStageConfig | None = None,
    unet: LatentUNetConfig | None = None,
) -> Chain:
    shards = write_shards(folder / "shards")
    autoencoder_run, autoencoder_model = train_autoencoder(
        folder / "autoencoder", shards, baseline=baseline
    )
    latents = folder / "latents"
    encode_shards(LATENTS, shards=shards, autoencoder=autoencoder_model, latents=latents)
    single = replace(DIFFUSION.model, windows=None)
    alone = replace(DIFFUSION, level_loss_weights=(1.0,), model=single)
    config = alone if baseline else DIFFUSION
    if unet:
        timesteps = "ldm" if unet.predicts == "noise" else "uniform"
        config = replace(config, baseline=unet, timesteps=timesteps)
    settings = diffusion.Settings(
        config, ReferenceDistance, latents, folder / "run", folder / "diffusion", autoencoder_model
    )
    diffusion._work(settings, Workers(torch.device("cpu")))
    return Chain(shards, autoencoder_model, latents, settings.model, autoencoder_run, settings.run)


def drawn_pictures(chain: Chain, count: int = DIFFUSION.score_images) -> SampleScorer:
    """What the training of the diffusion model draws and compares."""
    grid = SampleGrid(chain.autoencoder, manifest.read(chain.latents).facts, torch.device("cpu"))
    splits = (LatentShards(chain.latents, "train"), LatentShards(chain.latents, "val"))
    return SampleScorer(grid, splits, count, ReferenceDistance(), Workers(torch.device("cpu")))
