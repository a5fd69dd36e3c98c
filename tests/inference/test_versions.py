"""The numbers that the versions of the stages stand for: pdm/versions.yaml.

A change of results that fails here is to be meant, and then raises the version of its stage.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from shared.version_numbers import assert_numbers_of_version
from tiny_chain import AUTOENCODER, DIFFUSION, SAMPLE, Chain, sample_from

from pdm import ema, events
from pdm.config.stages.autoencoder import AdversarialConfig
from pdm.data.shards.latents import LatentShards
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

CPU = Workers(torch.device("cpu"))
TRAINED = ("loss", "grad_norm", "grad_norm_discriminator", "val_loss", "val_psnr")
# What the chain's own settings leave out.
AUTOENCODERS = {
    "adversarial": replace(
        AUTOENCODER,
        pixel_loss="charbonnier",
        adversarial=AdversarialConfig(
            start_images=8, weight=0.5, width=4, num_layers=2, learning_rate=1e-3
        ),
        model=replace(AUTOENCODER.model, norm="pixel", decoder_spectral_norm=True),
        equivariance_loss_weight=0.0,
        crop_px=12,
    ),
}
UNETS = {
    "uniform": replace(
        DIFFUSION,
        timesteps="uniform",
        time_shift=2.0,
        time_margin=0.01,
        model=replace(
            DIFFUSION.model,
            windows=None,
            resampling="fir",
            dropout_falls=False,
            spectral_norm=False,
            output_stream=True,
        ),
    ),
    "merged": replace(
        DIFFUSION, model=replace(DIFFUSION.model, branches=False, windows=None, input_stream=False)
    ),
}
TRAINING = {
    "total_images": 16,
    "save_every_images": 16,
    "optimizer": "muon",
    "schedule": "cosine",
    "weight_decay": 0.1,
    "ema_lengths": (0.1,),
}


def numbers_of(name: str, run: Path, model: Path) -> dict[str, float]:
    """Losses on the way, what they mean for unseen pictures, and the size of what was learnt."""
    found = {
        f"{name}/{metric}/{event['images_seen']}": event["values"][metric]
        for event in events.read(run / "events.jsonl")
        for metric in TRAINED
        if metric in event.get("values", {})
    }
    tensors = load_file(model / "model.safetensors")
    found[f"{name}/weights"] = norm_of(tensors)
    for snapshot in sorted((model / ema.FOLDER).glob("*.safetensors")):
        found[f"{name}/{snapshot.stem}"] = norm_of(load_file(snapshot))
    return found


def norm_of(tensors: dict[str, torch.Tensor]) -> float:
    return sum(float(one.double().square().sum()) for one in tensors.values()) ** 0.5


def test_autoencoder_computes_the_numbers_of_its_version(chain: Chain, tmp_path):
    found = numbers_of("chain", chain.autoencoder_run, chain.autoencoder)
    for name, config in AUTOENCODERS.items():
        config = replace(config, training=replace(config.training, **TRAINING))
        folder = tmp_path / name
        settings = autoencoder.Settings(config, chain.shards, folder / "run", folder / "model")
        autoencoder.train_on_worker(settings, CPU)
        found |= numbers_of(name, settings.run, settings.model)
    assert_numbers_of_version("autoencoder", found)


def test_latents_computes_the_numbers_of_its_version(chain: Chain):
    shards = LatentShards(chain.latents, "train")
    pyramid = shards.batch(list(range(len(shards))))
    found = {"count": float(len(shards))}
    for number, level in enumerate(pyramid):
        found[f"level {number} mean"] = float(level.mean())
        found[f"level {number} size"] = float(level.square().mean().sqrt())
        found[f"level {number} last"] = float(level.flatten()[-1])
    assert_numbers_of_version("latents", found)


def test_diffusion_computes_the_numbers_of_its_version(chain: Chain, tmp_path):
    found = numbers_of("chain", chain.diffusion_run, chain.diffusion)
    for name, config in UNETS.items():
        config = replace(config, training=replace(config.training, **TRAINING), score_images=0)
        folder = tmp_path / name
        settings = diffusion.Settings(
            config,
            ReferenceDistance,
            chain.latents,
            folder / "run",
            folder / "model",
            chain.autoencoder,
        )
        diffusion.train_on_worker(settings, CPU)
        found |= numbers_of(name, settings.run, settings.model)
    assert_numbers_of_version("diffusion", found)


def test_sample_computes_the_numbers_of_its_version(chain: Chain, tmp_path):
    found = {}
    for sampler in ("heun", "multistep", "adaptive"):
        sample_from(
            chain,
            replace(SAMPLE, sampler=sampler, num_images=3, ema_length=0.07),
            tmp_path / sampler,
        )
        for file in sorted((tmp_path / sampler).glob("0*.png")):
            pixels = np.asarray(Image.open(file), dtype=float)
            found[f"{sampler}/{file.stem} mean"] = pixels.mean()
            found[f"{sampler}/{file.stem} spread"] = pixels.std()
    assert_numbers_of_version("sample", found)
