"""Training on many aspect ratios (ARAD) against training on squares, on the shapes that squares
never show.

Both flows have the same network, the same autoencoder (trained on all shapes, so that only the
flows differ), the same number of different pictures, of images and of steps, and the same seeds.
Distances are of drawn pictures from real ones of the same shape that neither was trained on. The
real ones are encoded and decoded, as the drawn ones are decoded: otherwise the blur of a small
autoencoder would be most of both distances, and hide what differs between the flows.
"""

import dataclasses
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

import numpy as np
import torch
from PIL import Image

from benchmarks.parts.tasks import world
from benchmarks.shared.ratios import Ratio
from pdm.config import Params
from pdm.config.buckets import bucket_name
from pdm.curation.scrape.drawing.landscapes import draw_with_map
from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.data.shards import buckets, listing, manifest, tars
from pdm.data.shards.images import ImageShards
from pdm.data.shards.listing import Listed
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.loaded_models import load_models
from pdm.models.base_autoencoder import Autoencoder
from pdm.registry import load_autoencoder
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

SQUARE = (64, 64)
# Widths and heights, near the ratios 4, 2.4 and 1.7 to 1 of the preset `buckets-512`. Sides are
# multiples of 16, the coarsest map's, so its 1.3 to 1 has no counterpart of about the same area.
UNSEEN = ((128, 32), (96, 48), (80, 48), (48, 80), (48, 96), (32, 128))
SIZES = (SQUARE, *UNSEEN)
BATCH = 16  # pictures drawn or decoded at once
TIMES_LARGER = 4  # landscapes are drawn at so many times the size, and reduced


@dataclass(frozen=True)
class Size:
    num_train: int  # of all shapes together
    num_held_out: int  # of each shape, which as many drawn pictures are compared with
    autoencoder_images: int
    flow_images: int
    seeds: tuple[int, ...]


FULL = Size(1536, 128, 6400, 25_600, (0, 1, 2))
QUICK = Size(18, 4, 16, 16, (0,))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Train both flows with each seed, and compare them shape by shape."""
    found = [_distances(size, seed, folder / str(seed)) for seed in size.seeds]
    values = tuple(geometric_mean(one[name] / two[name] for name in one) for one, two in found)
    many, square = (
        geometric_mean(value for pair in found for value in pair[side].values()) for side in (0, 1)
    )
    each = "; ".join(
        f"seed {seed}: "
        + ", ".join(f"{name} {one[name]:.3g} against {two[name]:.3g}" for name in one)
        for seed, (one, two) in zip(size.seeds, found, strict=True)
    )
    return [
        Ratio(
            "arad_vs_square",
            "Fréchet distance on the shapes that squares never show: trained on all shapes over "
            "trained on squares",
            many,
            square,
            "",
            values,
            "at most 0.7",
            f"{ReferenceDistance.name} from decoded held-out pictures, {size.num_held_out} a side, "
            "geometric mean over the shapes, a value for each seed; "
            f"{size.num_train:,} different pictures and {size.flow_images:,} images each. {each}.",
        )
    ]


def _distances(size: Size, seed: int, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Distances by shape of the flow trained on all shapes, and of that trained on squares."""
    config = _params(size, seed)
    shards = {
        name: _write_shards(size, sizes, folder / name)
        for name, sizes in (("many", SIZES), ("square", (SQUARE,)))
    }
    first_stage = _train_first_stage(config, shards["many"], folder)
    flows = [_train_flow(config, shards[name], first_stage, folder / name) for name in shards]
    judge, model = ReferenceDistance(), load_autoencoder(first_stage)
    train, held_out = (ImageShards(shards["many"], split) for split in ("train", "val"))
    many: dict[str, float] = {}
    square: dict[str, float] = {}
    for shape in UNSEEN:
        name, real = bucket_name(shape), _pictures_of(held_out, shape)
        reference = judge.features(_decoded(model, real))
        for scores, flow in zip((many, square), flows, strict=True):
            drawn = _draw(config, flow, shape, len(real), seed)
            scores[name] = judge.distance(judge.features(drawn), reference)
        others = judge.features(_decoded(model, _pictures_of(train, shape)[: len(real)]))
        floor = judge.distance(others, reference)
        print(f"seed {seed}, {name}: training pictures {floor:.3g}", file=sys.stderr, flush=True)
    print(f"seed {seed}: {many} against {square}", file=sys.stderr, flush=True)
    return many, square


def _train_first_stage(config: Params, shards: Path, folder: Path) -> Path:
    """The folder of the autoencoder."""
    run, model = folder / "run-autoencoder", folder / "autoencoder"
    settings = autoencoder.Settings(config.autoencoder, shards, run, model)
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    return model


def _params(size: Size, seed: int) -> Params:
    plain = world.Size(0, 0, size.autoencoder_images, size.flow_images, 20)
    config = world.params_of(plain, "model-tiny", None)
    first = dataclasses.replace(
        config.autoencoder,
        image_width_px=SQUARE[0],
        image_height_px=SQUARE[1],
        perceptual=None,
        training=dataclasses.replace(config.autoencoder.training, seed=seed),
    )
    flow = dataclasses.replace(
        config.diffusion, training=dataclasses.replace(config.diffusion.training, seed=seed)
    )
    curate = dataclasses.replace(config.curate, width_px=SQUARE[0], height_px=SQUARE[1])
    return dataclasses.replace(config, curate=curate, autoencoder=first, diffusion=flow)


def _train_flow(config: Params, shards: Path, first_stage: Path, folder: Path) -> Path:
    """The folder of both models."""
    latents, models = folder / "latents", folder / "models"
    encode_shards(config.latents, shards=shards, autoencoder=first_stage, latents=latents)
    settings = diffusion.Settings(
        *(config.diffusion, ReferenceDistance, latents, folder / "run", models / "diffusion"),
        first_stage,
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    (models / "autoencoder").symlink_to(first_stage.resolve())
    return models


def _draw(config: Params, models: Path, shape: tuple[int, int], count: int, seed: int) -> Pixels:
    loaded, drawn = load_models(models, config.sample), []
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        seeds = [10_000 * (seed + 1) + number for number in numbers]
        drawn += loaded.draw(seeds, (shape[1], shape[0]))
    return np.stack(drawn)


@torch.no_grad()
def _decoded(model: Autoencoder, pictures: Pixels) -> Pixels:
    """The pictures as the autoencoder reconstructs them."""
    size = pictures.shape[1:3]
    batches = np.split(pictures, range(BATCH, len(pictures), BATCH))
    return np.concatenate(
        [to_pixels(model.decode(model.encode(to_images(batch)), size)) for batch in batches]
    )


def _pictures_of(images: ImageShards, shape: tuple[int, int]) -> Pixels:
    place = [bucket.size for bucket in images.buckets].index(shape)
    return images.batch(images.bucket_ranges[place], SQUARE[1], SQUARE[0])


def _write_shards(size: Size, sizes: Sequence[tuple[int, int]], folder: Path) -> Path:
    """Landscapes of each shape, no two alike."""
    folder.mkdir(parents=True)
    num_train = size.num_train // len(sizes)
    splits: dict[str, list[manifest.Shard]] = {"train": [], "val": []}
    entries, listed = [], []
    for shape in sizes:
        begin = 10_000 * SIZES.index(shape)
        numbers = {
            "train": range(begin, begin + num_train),
            "val": range(begin + num_train, begin + num_train + size.num_held_out),
        }
        shards = {}
        for split, indices in numbers.items():
            path = folder / f"{split}-{bucket_name(shape)}-000000.tar"
            tars.write_tar(path, (_sample(index, *shape) for index in indices))
            shards[split] = [manifest.Shard.of(path, len(indices))]
            splits[split] += shards[split]
            listed += [Listed(f"{index:020x}", f"{index:064x}", split) for index in indices]
        entries.append(buckets.describe(shape, shards))
    listing.write(folder, listed)
    facts = {"width_px": SQUARE[0], "height_px": SQUARE[1], buckets.FACT: entries}
    manifest.Manifest(splits, facts).save(folder)
    return folder


def _sample(index: int, width: int, height: int) -> tuple[str, dict[str, bytes]]:
    larger = draw_with_map(world.SEED, index, TIMES_LARGER * width, TIMES_LARGER * height)[0]
    file, key = io.BytesIO(), f"{index:020x}"
    Image.fromarray(larger).resize((width, height), Image.Resampling.LANCZOS).save(file, "PNG")
    return key, {"png": file.getvalue(), "json": json.dumps({"key": key}).encode()}
