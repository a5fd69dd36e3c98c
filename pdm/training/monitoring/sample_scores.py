"""Scores samples of a diffusion model after each checkpoint: a contact sheet, and their distance
from held-out pictures.

Both sides of the distance are decoded by the autoencoder, so it measures the diffusion model only.
The caller supplies the distance (`ReferenceDistance`).
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Protocol

from PIL import Image

from pdm.data.order import images_at
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.data.sheets import contact_sheet, split_into_rows
from pdm.diffusion.flow import Velocity
from pdm.diffusion.level_schedules import Schedule
from pdm.errors import BadInput
from pdm.training.monitoring.sample_grid import SEEDS, SampleGrid

HELD_OUT_IMAGES = 256  # maximum size of the reference
MIN_IMAGES = 2  # one picture has no variance


class ReferenceDistance(Protocol):
    """A distance from a set of pictures."""

    name: str

    def distance(self, pictures: Iterable[Pixels]) -> float:
        """Distance of two or more pictures from the set."""


# Takes the pictures of the reference. Must be importable by name, since workers unpickle it.
BuildReferenceDistance = Callable[[Iterable[Pixels]], ReferenceDistance]


class SampleScorer:
    """Draws pictures of fixed seeds, and measures their distance from decoded held-out latents.

    Args:
        grid: Draws and decodes.
        latents: Splits train and val.
        count: Number of pictures to compare; 0 for none.
        build_reference_distance: Builds the distance from the pictures of the reference.
    """

    def __init__(
        self,
        grid: SampleGrid,
        latents: tuple[LatentShards, LatentShards],
        count: int,
        build_reference_distance: BuildReferenceDistance,
    ) -> None:
        self.grid, self.count, self.build_reference_distance = grid, count, build_reference_distance
        self.train, self.held_out = latents

    def draw(
        self, network: Velocity, schedule: Schedule | None, num_classes: int = 0
    ) -> tuple[Image.Image, dict[str, float]]:
        """Draw a sheet of the first pictures, and measure the distance of `count`, if it is not 0.

        The distance of equally many training pictures (or of all, if there are fewer) comes with
        it. It is what a perfect model would score: small sets are never at distance 0.
        """
        count = max(self.count, len(SEEDS))
        pictures = self.grid.draw(network, schedule, count, num_classes)
        first = list(itertools.islice(pictures, len(SEEDS)))
        sheet = contact_sheet(split_into_rows(first))
        if not self.count:
            return sheet, {}
        reference, floor = self._reference
        samples = itertools.islice(itertools.chain(first, pictures), self.count)
        return sheet, {
            f"{reference.name}/samples_vs_decoded_val": reference.distance(samples),
            f"{reference.name}/train_vs_decoded_val": floor,
        }

    @cached_property
    def _reference(self) -> tuple[ReferenceDistance, float]:
        """The distance from the held-out latents, and that of training latents."""
        reference = self.build_reference_distance(self._decode(self.held_out, HELD_OUT_IMAGES))
        return reference, reference.distance(self._decode(self.train, self.count))

    def _decode(self, latents: LatentShards, count: int) -> Iterator[Pixels]:
        """Decode `count` latents, or all if there are fewer; always the same ones."""
        chosen = images_at(range(min(count, len(latents))), len(latents), seed=0)
        return itertools.chain.from_iterable(
            self.grid.decode(latents.batch([index])) for index in chosen.tolist()
        )


def check_split_sizes(splits: Iterable[LatentShards], count: int) -> None:
    """Raise BadInput if `count` is not 0 and a split has too few pictures to compare with."""
    fewest = min(len(split) for split in splits)
    if count and fewest < MIN_IMAGES:
        raise BadInput(
            f"diffusion.score_images is {count}, but a split of the latents has {fewest} "
            f"pictures, and the comparison needs at least {MIN_IMAGES}; use more pictures, or set "
            "it to 0"
        )
