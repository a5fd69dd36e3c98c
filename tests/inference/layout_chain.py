"""A tiny model of layouts, trained on shards with boxes."""

import json
from dataclasses import replace
from pathlib import Path

from task_training import train_task
from tiny_chain import DIFFUSION, Chain, sample_of

from pdm.config.task import LayoutTask
from pdm.data.shards import listing, manifest, tars
from pdm.data.shards.listing import Listed

TASK = LayoutTask(
    kind="layout", max_boxes=3, vocabulary_size=64, width=8, depth=1, num_heads=2, head_width=4
)
CONFIG = replace(DIFFUSION, task=TASK, score_images=2)
BOAT = {"class": "boat", "x": 0.0, "y": 0.5, "width": 0.5, "height": 0.25}
SUN = {"class": "sun", "x": 0.625, "y": 0.0, "width": 0.25, "height": 0.25}
CROP = {"left_px": 0, "top_px": 10, "width_px": 128, "height_px": 64}


def record_of_sample(seed: int) -> dict:
    size = {"original_width_px": 128, "original_height_px": 100, "crop": CROP}
    boxes = [BOAT, SUN][: seed % 3]  # a third of the pictures has none
    return {"key": f"{seed:020x}"} | size | ({"boxes": boxes} if boxes else {})


def write_shards(folder: Path) -> Path:
    folder.mkdir()
    splits = {}
    for split, seeds in (("train", range(5)), ("val", range(5, 8))):
        samples = []
        for seed in seeds:
            key, parts = sample_of(seed)
            samples.append((key, parts | {"json": json.dumps(record_of_sample(seed)).encode()}))
        path = folder / f"{split}-000000.tar"
        tars.write_tar(path, samples)
        splits[split] = [manifest.Shard.of(path, len(samples))]
    listing.write(
        folder, (Listed(f"{n:020x}", f"{n:064x}", "train" if n < 5 else "val") for n in range(8))
    )
    boxes = {"classes": ["boat", "sun"], "crop": [0.0, 0.1, 1.0, 0.74]}
    manifest.Manifest(splits, {"width_px": 128, "height_px": 64, "boxes": boxes}).save(folder)
    return folder


def train_layouts(chain: Chain, folder: Path) -> Path:
    """A folder with shards, latents and models."""
    write_shards(folder / "shards")
    return train_task(CONFIG, chain.autoencoder, folder)
