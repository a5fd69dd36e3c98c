"""The stage `latents`: encodes the shards once, at the training size of the autoencoder."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from pdm import weights
from pdm.config.latents import LatentsConfig
from pdm.data import classes
from pdm.data.pixels import to_images
from pdm.data.shards import listing, manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import write_shard
from pdm.data.space import disk_space_for
from pdm.device import choose_device, log_device
from pdm.errors import QualityGate
from pdm.files import atomic_folder, sha256_of
from pdm.models.codec import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.progress import Progress
from pdm.registry import load_autoencoder

logger = logging.getLogger(__name__)

STD_RANGE = (0.5, 2.0)  # accepted range for a level's standardised latents; 1 is expected
BYTES_PER_VALUE = 4  # float32 on disk
MIRRORED = "-mirrored"  # suffix of the key of a mirrored copy


def encode_shards(config: LatentsConfig, *, shards: Path, autoencoder: Path, latents: Path) -> None:
    """Write the latents of the splits train, with mirrored copies if configured, and val.

    Args:
        config: Section `latents` of the params.
        shards: Written by the stage `shard`.
        autoencoder: Model folder; pictures are encoded at its training size.
        latents: Folder to write, with one shard of latents for each shard of pictures; on one
            machine, equal inputs give equal bytes.

    Raises:
        BadInput, QualityGate: Shards or model are missing or damaged.
        Unavailable: The disk is too full for the latents.
        QualityGate: A level's latents are not finite, or far from standardised. Nothing is written.
    """
    record = weights.record_of(autoencoder)
    size = (record["image_height_px"], record["image_width_px"])
    device = choose_device()
    log_device(device)
    model = load_autoencoder(autoencoder).to(device)
    splits = {split: ImageShards(shards, split) for split in ("train", "val")}
    names = classes.names_of(splits["train"].manifest.facts)
    copies = {"train": 1 + config.flipped_copies, "val": 1}
    total = sum(copies[split] * len(images) for split, images in splits.items())
    progress = Progress("latents", total)
    values = sum(math.prod(shape) for shape in model.level_shapes(*size))
    with (
        disk_space_for(latents, BYTES_PER_VALUE * values * total),
        atomic_folder(latents) as folder,
    ):
        written: dict[str, list[manifest.Shard]] = {}
        spread = LatentStatistics(len(model.level_channels))
        for split, images in splits.items():
            written[split] = []
            for name, indices in _by_shard(images, split):
                keys, pyramid = _encode(
                    model, images, indices, size, copies[split] > 1, config.batch_size, progress
                )
                if split == "train":
                    spread.add(pyramid)
                told = _classes(images, indices, copies[split]) if names else None
                written[split].append(write_shard(folder / name, keys, pyramid, told))
        means, stds = spread.check()
        facts = {
            "level_shapes": model.level_shapes(*size),
            "level_downsamplings": model.level_downsamplings,
            "level_means": means,
            "level_stds": stds,
            "image_height_px": size[0],
            "image_width_px": size[1],
            "autoencoder_sha256": sha256_of(autoencoder / "model.safetensors"),
            "shards_sha256": manifest.digest(shards),
            **({classes.FACT: names} if names else {}),
        }
        listing.copy(shards, folder)
        manifest.Manifest(written, facts).save(folder)
    logger.info("latents: std by level, coarse to fine: %s", ", ".join(f"{s:.3f}" for s in stds))


class LatentStatistics:
    """Mean and standard deviation of each level, over all latents added."""

    def __init__(self, num_levels: int) -> None:
        self._sums = torch.zeros(num_levels, 3, dtype=torch.float64)  # count, sum, sum of squares

    def add(self, pyramid: Pyramid) -> None:
        """Include more latents."""
        for level, values in enumerate(pyramid):
            values = values.double()
            self._sums[level] += torch.stack(
                [torch.tensor(float(values.numel())), values.sum(), values.square().sum()]
            )

    def check(self) -> tuple[list[float], list[float]]:
        """Return means and standard deviations, coarse to fine.

        Raises:
            QualityGate: A value is not finite, or a standard deviation is outside `STD_RANGE`.
        """
        means = self._sums[:, 1] / self._sums[:, 0]
        stds = (self._sums[:, 2] / self._sums[:, 0] - means.square()).sqrt()
        low, high = STD_RANGE
        for level, std in enumerate(stds.tolist()):
            if not low <= std <= high:
                raise QualityGate(
                    f"latents of level {level} have a standard deviation of {std:.3g}, but {low} "
                    f"to {high} is expected; train the autoencoder again on these shards"
                )
        return means.tolist(), stds.tolist()


def _by_shard(images: ImageShards, split: str) -> Iterator[tuple[str, range]]:
    """Yield the name of each file to write, and the indices of its pictures."""
    start = 0
    for shard in images.manifest.splits[split]:
        yield f"{Path(shard.name).stem}.safetensors", range(start, start + shard.num_samples)
        start += shard.num_samples


@torch.no_grad()
def _encode(
    model: Autoencoder,
    images: ImageShards,
    indices: range,
    size: tuple[int, int],
    mirrored: bool,
    batch_size: int,
    progress: Progress,
) -> tuple[list[str], Pyramid]:
    """Encode some pictures; return their keys and latents, first of the originals, then
    mirrored."""
    keys: list[str] = []
    parts: list[Pyramid] = []
    for suffix in ("", MIRRORED) if mirrored else ("",):
        for start in range(0, len(indices), batch_size):
            chosen = indices[start : start + batch_size]
            pixels = to_images(images.batch(chosen, *size))
            parts.append(_encode_batch(model, pixels.flip(3) if suffix else pixels))
            keys += [images.keys[index] + suffix for index in chosen]
            progress.advance(len(chosen))
    if not parts:  # an empty shard: there are more shards than pictures
        empty = tuple(torch.empty(0, *shape) for shape in model.level_shapes(*size))
        return keys, empty
    return keys, tuple(torch.cat(level) for level in zip(*parts, strict=True))


def _classes(images: ImageShards, indices: range, copies: int) -> list[str | None]:
    """Classes of some pictures, in the order of `_encode`: originals first, then mirrored
    copies."""
    return [images.record(index).get("class_name") for index in indices] * copies


def _encode_batch(model: Autoencoder, images: Tensor) -> Pyramid:
    device = next(model.parameters()).device
    return tuple(level.cpu() for level in model.encode(images.to(device)))
