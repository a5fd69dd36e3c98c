"""A tiny chain of trained models: shards, autoencoder, latents, diffusion model, without Ray."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from shared import tiny_pyramid
from shared.training_settings import TRAINING

from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.latents import LatentsConfig
from pdm.config.stages.sample import SampleConfig
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.listing import Listed
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.sample import sample_images
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.samples.grid import SampleGrid
from pdm.training.monitoring.samples.scores import SampleScorer

TRAINING = replace(TRAINING, warmup_images=8)
AUTOENCODER = AutoencoderConfig(
    image_height_px=16,
    image_width_px=32,
    model=replace(
        tiny_pyramid.AUTOENCODER,
        encoder_dropout=(0.0, 0.0, 0.1, 0.1),
        decoder_dropout=(0.0, 0.0, 0.0, 0.1),
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
    model=replace(
        tiny_pyramid.UNET,
        windows=((0.0, 0.7), (0.1, 0.8), (0.3, 1.0)),
        dropout=(0.0, 0.1),
        dropout_falls=True,
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
# LDM's networks, as they were published but for their widths.
BY_NOISE = (
    FirstStageConfig(name="kl-f4", base_width=8, latent_weight=1e-6, latent_scale="scalar"),
    LatentUNetConfig(name="celeba", base_width=32, predicts="noise"),
)
BY_VELOCITY = (
    FirstStageConfig(name="vq-f4", base_width=8, latent_weight=1.0, latent_scale="channel"),
    LatentUNetConfig(name="celeba", base_width=32, predicts="velocity"),
)
LATENTS = LatentsConfig(batch_size=3, flipped_copies=True, storage="float32", keep_pictures=False)
SAMPLE = replace(
    tiny_pyramid.SAMPLE,
    num_images=5,
    seed=7,
    sampler="heun",
    steps=3,
    time_margin=0.001,
    clamp_latents=4.0,
    full_size_picture=True,
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

    @classmethod
    def below(cls, folder: Path) -> "Chain":
        return cls(
            shards=folder / "shards",
            autoencoder=folder / "autoencoder" / "model",
            latents=folder / "latents",
            diffusion=folder / "diffusion",
            autoencoder_run=folder / "autoencoder" / "run",
            diffusion_run=folder / "run",
        )

    def link_models(self, folder: Path) -> Path:
        """Lay the models into an empty folder as `models` has them."""
        (folder / "autoencoder").symlink_to(self.autoencoder)
        (folder / "diffusion").symlink_to(self.diffusion)
        return folder


def train_autoencoder(
    folder: Path, shards: Path, seed: int = 0, baseline: FirstStageConfig | None = None
) -> tuple[Path, Path]:
    config = replace(AUTOENCODER, training=replace(TRAINING, seed=seed), baseline=baseline)
    if baseline:  # LDM's denoising networks halve a latent three times
        config = replace(config, image_height_px=32, image_width_px=64)
    settings = autoencoder.Settings(config, shards, folder / "run", folder / "model")
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    return settings.run, settings.model


def train_chain(
    folder: Path,
    baseline: FirstStageConfig | None = None,
    unet: LatentUNetConfig | None = None,
) -> Chain:
    made = Chain.below(folder)
    write_shards(made.shards)
    train_autoencoder(folder / "autoencoder", made.shards, baseline=baseline)
    encode_shards(LATENTS, shards=made.shards, autoencoder=made.autoencoder, latents=made.latents)
    single = replace(DIFFUSION.model, windows=None)
    alone = replace(DIFFUSION, level_loss_weights=(1.0,), model=single)
    config = alone if baseline else DIFFUSION
    if unet:
        timesteps = "ldm" if unet.predicts == "noise" else "uniform"
        # It is large, so it draws and scores at the end alone.
        training = replace(config.training, save_every_images=32)
        config = replace(config, baseline=unet, timesteps=timesteps, training=training)
    train_diffusion(config, made)
    return made


def train_diffusion(config: DiffusionConfig, made: Chain) -> None:
    settings = diffusion.Settings(
        *(config, ReferenceDistance, made.latents, made.diffusion_run, made.diffusion),
        made.autoencoder,
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))


def drawn_pictures(chain: Chain, count: int = DIFFUSION.score_images) -> SampleScorer:
    """What the training of the diffusion model draws and compares."""
    grid = SampleGrid(chain.autoencoder, manifest.read(chain.latents).facts, torch.device("cpu"))
    splits = (LatentShards(chain.latents, "train"), LatentShards(chain.latents, "val"))
    return SampleScorer(grid, splits, count, ReferenceDistance(), Workers(torch.device("cpu")))


def sample_from(chain: Chain, config: SampleConfig, folder: Path) -> Path:
    """Run the stage `sample` with the chain's models and shards; return the folder."""
    sample_images(
        config,
        autoencoder=chain.autoencoder,
        diffusion=chain.diffusion,
        shards=chain.shards,
        samples=folder,
    )
    return folder
