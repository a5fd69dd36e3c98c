"""Shards of the tiny chain's pictures, each with a random map of three classes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_chain import sample_of

from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.listing import Listed

NAMES = ["sky", "sea", "land"]


def map_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (4, 8)).repeat(16, 0).repeat(16, 1)


def write_map_shards(folder: Path, first_map: int = 0) -> Path:
    folder.mkdir()
    splits = {}
    for split, seeds in (("train", range(5)), ("val", range(5, 7))):
        samples = []
        for seed in seeds:
            key, parts = sample_of(seed)
            file = io.BytesIO()
            Image.fromarray(map_of(first_map + seed).astype(np.uint8)).save(file, "PNG")
            samples.append((key, parts | {"map.png": file.getvalue()}))
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, samples)
        splits[split] = [manifest.Shard.of(path, len(samples))]
    listing.write(
        folder, (Listed(f"{n:020x}", f"{n:064x}", "train" if n < 5 else "val") for n in range(7))
    )
    facts = {"width_px": 128, "height_px": 64, "map_classes": NAMES}
    manifest.Manifest(splits, facts).save(folder)
    return folder
