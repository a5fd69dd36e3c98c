"""The tiny chain of models on pictures of three shapes."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, Chain, train_diffusion

from pdm.data.shards import buckets, listing, manifest, tars
from pdm.data.shards.listing import Listed
from pdm.inference.encode import encode_shards
from pdm.training import autoencoder
from pdm.training.distributed.workers import Workers

# Width and height of the crops -> number of pictures to train on and held out. They are reduced to
# a quarter, as 128x64 is to 32x16.
COUNTS = {(128, 64): (7, 4), (64, 64): (5, 4), (64, 128): (3, 4)}
MAIN = (128, 64)
CONFIGS = (AUTOENCODER, replace(DIFFUSION, score_images=4))


def picture_of(seed: int, size: tuple[int, int]) -> tuple[str, dict[str, bytes]]:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    key = f"{seed:020x}"
    return key, {"png": file.getvalue(), "json": json.dumps({"key": key}).encode()}


def write_bucket_shards(folder: Path, counts=COUNTS) -> Path:
    folder.mkdir(parents=True)
    splits: dict[str, list[manifest.Shard]] = {"train": [], "val": []}
    entries, listed = [], []
    for number, (size, pictures) in enumerate(counts.items()):
        shards = {}
        for split, first, count in zip(("train", "val"), (0, 50), pictures, strict=True):
            path = folder / f"{split}-{size[0]}x{size[1]}-000000.tar"
            seeds = range(100 * number + first, 100 * number + first + count)
            shards[split] = []
            if count:
                tars.write_tar(path, (picture_of(seed, size) for seed in seeds))
                shards[split] = [manifest.Shard.of(path, count)]
            splits[split] += shards[split]
            listed += [Listed(f"{seed:020x}", f"{seed:064x}", split) for seed in seeds]
        entries.append(buckets.describe(size, shards))
    listing.write(folder, sorted(listed))
    facts = {"width_px": MAIN[0], "height_px": MAIN[1], buckets.FACT: entries}
    manifest.Manifest(splits, facts).save(folder)
    return folder


def train_bucket_chain(folder: Path) -> Chain:
    made = Chain.below(folder)
    write_bucket_shards(made.shards)
    settings = autoencoder.Settings(CONFIGS[0], made.shards, made.autoencoder_run, made.autoencoder)
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    encode_shards(LATENTS, shards=made.shards, autoencoder=made.autoencoder, latents=made.latents)
    train_diffusion(CONFIGS[1], made)
    return made
