"""What is made of a diffusion model's pictures after each checkpoint: a sheet to look at, and their
distance from held-out pictures.

Both sides of the distance have been through the autoencoder, so that it tells of the diffusion
model alone. What measures comes from outside (`ReferenceDistance`).
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
from pdm.diffusion.sampling_times import Windows
from pdm.errors import BadInput
from pdm.training.monitoring.sample_grid import SEEDS, SampleGrid

HELD_OUT_IMAGES = 256  # at most so many are the reference
MIN_IMAGES = 2  # no spread can be told from one


class ReferenceDistance(Protocol):
    """Knows a set of pictures, and how far others are from it."""

    name: str

    def distance(self, pictures: Iterable[Pixels]) -> float:
        """From the set; of two pictures or more."""


# From the pictures of the reference. A worker must find it by its name.
BuildReferenceDistance = Callable[[Iterable[Pixels]], ReferenceDistance]


class SampleScorer:
    """Pictures of fixed seeds, and how far they are from those of the held-out latents.

    Args:
        grid: Draws and decodes.
        latents: The splits train and val.
        count: As many are compared, or 0: none.
        build_reference_distance: From the pictures of the reference.
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
        self, network: Velocity, windows: Windows | None, num_classes: int = 0
    ) -> tuple[Image.Image, dict[str, float]]:
        """The sheet of the first pictures, and the distance of `count`, if it is not 0.

        With it comes the distance of as many training pictures (or all there are): what a perfect
        model would reach, since few pictures are always far.
        """
        count = max(self.count, len(SEEDS))
        pictures = self.grid.pictures(network, windows, count, num_classes)
        shown = list(itertools.islice(pictures, len(SEEDS)))
        sheet = contact_sheet(split_into_rows(shown))
        if not self.count:
            return sheet, {}
        reference, floor = self._reference
        drawn = itertools.islice(itertools.chain(shown, pictures), self.count)
        return sheet, {
            f"{reference.name}/samples_vs_decoded_val": reference.distance(drawn),
            f"{reference.name}/train_vs_decoded_val": floor,
        }

    @cached_property
    def _reference(self) -> tuple[ReferenceDistance, float]:
        """Made of the held-out latents, with the distance of training latents."""
        reference = self.build_reference_distance(self._decode(self.held_out, HELD_OUT_IMAGES))
        return reference, reference.distance(self._decode(self.train, self.count))

    def _decode(self, latents: LatentShards, count: int) -> Iterator[Pixels]:
        """Pictures of so many of the latents, or all; always the same ones."""
        chosen = images_at(range(min(count, len(latents))), len(latents), seed=0)
        return itertools.chain.from_iterable(
            self.grid.decode(latents.batch([index])) for index in chosen.tolist()
        )


def check_enough(splits: Iterable[LatentShards], count: int) -> None:
    """Raise BadInput unless so many drawn pictures can be compared with those of the splits."""
    fewest = min(len(split) for split in splits)
    if count and fewest < MIN_IMAGES:
        raise BadInput(
            f"diffusion.score_images is {count}, but a split of the latents holds {fewest} "
            f"pictures, and at least {MIN_IMAGES} are needed to compare with; hold more out, or "
            "set it to 0"
        )
