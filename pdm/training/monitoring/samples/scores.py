"""Scores samples of a diffusion model after each checkpoint: a contact sheet, and their distance
from held-out pictures.

Both sides of the distance are decoded by the autoencoder, so it measures the diffusion model only.
The caller supplies the distance (`ReferenceDistance`).
"""

import itertools
import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.counts import counted
from pdm.data.order import images_at
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.data.sheets import contact_sheet, reduce_picture, split_into_rows
from pdm.diffusion.flow import Velocity
from pdm.errors import BadInput
from pdm.events import EventLog
from pdm.files import atomic_file
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.samples.grid import SEEDS, Draw, SampleGrid
from pdm.training.monitoring.samples.preview_batches import (
    Annotate,
    MakePreviews,
    unconditional_previews,
    without_annotation,
)

logger = logging.getLogger(__name__)

HELD_OUT_IMAGES = 256  # maximum size of the reference
SHEET_PX = 512  # longer side of the sheet's pictures
MIN_IMAGES = 2  # one picture has no variance

Features = NDArray[np.float64]


class ReferenceDistance(Protocol):
    """A distance between sets of pictures, by features of each picture."""

    name: str

    def features(self, pictures: Iterable[Pixels]) -> Features:
        """Features (N, D) of pictures; those of one do not depend on the others."""

    def distance(self, features: Features, reference: Features) -> float:
        """Distance of two sets of two or more pictures."""


# Must be importable by name, since workers unpickle it.
BuildReferenceDistance = Callable[[], ReferenceDistance]


class SampleScorer:
    """Draws pictures of fixed seeds, and measures their distance from decoded held-out latents.

    The workers share the pictures, and all get the same result.

    Args:
        grid: Draws and decodes.
        latents: Splits train and val.
        count: Number of pictures to compare; 0 for none.
        distance: Compares sets of pictures.
        workers: Every worker must make the same calls.
    """

    def __init__(
        self,
        grid: SampleGrid,
        latents: tuple[LatentShards, LatentShards],
        count: int,
        distance: ReferenceDistance,
        workers: Workers,
    ) -> None:
        self.grid, self.count, self.measure, self.workers = grid, count, distance, workers
        self.train, self.held_out = latents

    def draw(
        self,
        network: Velocity,
        sampler: Draw,
        make_previews: MakePreviews = unconditional_previews,
        annotate: Annotate = without_annotation,
    ) -> tuple[Image.Image, dict[str, float]]:
        """Draw a sheet of the first pictures, and measure the distance of `count`, if it is not 0.

        What `annotate` draws over the pictures is on the sheet only.

        The distance of equally many training pictures (or of all, if there are fewer) comes with
        it. It is what a perfect model would score: small sets are never at distance 0.
        """

        def draw_some(seeds: range) -> tuple[list[Pixels], Features | None]:
            """Pictures for the sheet, and features of those to compare."""
            pictures = list(self.grid.draw(network, sampler, seeds, make_previews))
            for_sheet = pictures if seeds == SEEDS else []
            compared = pictures[: max(0, self.count - seeds.start)]
            features = self.measure.features(compared) if compared else None
            small = [reduce_picture(picture, SHEET_PX) for picture in for_sheet]
            return [annotate(*pair) for pair in enumerate(small, seeds.start)], features

        total = max(self.count, len(SEEDS))
        parts = self.workers.map(draw_some, _batches(total))
        sheet = contact_sheet(split_into_rows(parts[0][0]))
        if not self.count:
            return sheet, {}
        reference, floor = self._reference
        samples = np.concatenate([found for _, found in parts if found is not None])
        return sheet, {
            f"{self.measure.name}/samples_vs_decoded_val": self.measure.distance(
                samples, reference
            ),
            f"{self.measure.name}/train_vs_decoded_val": floor,
        }

    @cached_property
    def _reference(self) -> tuple[Features, float]:
        """Features of the held-out latents, and the distance of training latents from them."""
        reference = self._features(self.held_out, HELD_OUT_IMAGES)
        return reference, self.measure.distance(self._features(self.train, self.count), reference)

    def _features(self, latents: LatentShards, count: int) -> Features:
        """Features of `count` decoded latents, or of all if there are fewer; always the same."""
        total = min(count, len(latents))
        chosen = images_at(range(total), len(latents), seed=0).tolist()

        def decode_some(places: range) -> Features:
            found = (self.grid.decode(latents.batch([chosen[place]])) for place in places)
            return self.measure.features(itertools.chain.from_iterable(found))

        return np.concatenate(self.workers.map(decode_some, _batches(total)))


def record_samples(
    name: str,
    sheet: Image.Image,
    scores: dict[str, float],
    images_seen: int,
    events: EventLog,
    run: Path,
) -> None:
    """Log a checkpoint's scores, and write its sheet to the run's folder.

    Args:
        name: Of the training, in the log.
    """
    events.metrics(scores, images_seen)
    listed = ", ".join(f"{score} {value:.4f}" for score, value in scores.items())
    logger.info("%s: after %s: %s", name, counted(images_seen, "image"), listed)
    path = run / "pictures" / f"samples-{images_seen:09}.png"
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG")
    events.picture("samples", path, images_seen)


def _batches(count: int) -> list[range]:
    """Split seeds or places into batches, each for one worker."""
    size = len(SEEDS)
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def check_split_sizes(splits: Iterable[LatentShards], count: int) -> None:
    """Raise BadInput if `count` is not 0 and a split has too few pictures to compare with."""
    fewest = min(len(split) for split in splits)
    if count and fewest < MIN_IMAGES:
        raise BadInput(
            f"diffusion.score_images is {count}, but a split of the latents has "
            f"{counted(fewest, 'image')}, and the comparison needs at least {MIN_IMAGES}; use more "
            "images, or set it to 0"
        )
