"""What is made of a diffusion model's pictures after each checkpoint: a sheet to look at, and their
distance from held-out pictures.

Both sides of the distance have been through the autoencoder, so that it tells of the diffusion
model alone. What measures comes from outside (`Yardstick`).
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


class Yardstick(Protocol):
    """Knows a set of pictures, and how far others are from it."""

    name: str

    def distance(self, pictures: Iterable[Pixels]) -> float:
        """From the set; of two pictures or more."""


YardstickFrom = Callable[[Iterable[Pixels]], Yardstick]  # of the set; a worker must find it by name


class SampleScorer:
    """Pictures of fixed seeds, and how far they are from those of the held-out latents.

    Args:
        grid: Draws and decodes.
        latents: The splits train and val.
        count: As many are compared, or 0: none.
        yardstick_from: Of the reference.
    """

    def __init__(
        self,
        grid: SampleGrid,
        latents: tuple[LatentShards, LatentShards],
        count: int,
        yardstick_from: YardstickFrom,
    ) -> None:
        self.grid, self.count, self.yardstick_from = grid, count, yardstick_from
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
        yardstick, floor = self._reference
        drawn = itertools.islice(itertools.chain(shown, pictures), self.count)
        return sheet, {
            f"{yardstick.name}/samples_vs_decoded_val": yardstick.distance(drawn),
            f"{yardstick.name}/train_vs_decoded_val": floor,
        }

    @cached_property
    def _reference(self) -> tuple[Yardstick, float]:
        """Made of the held-out latents, with the distance of training latents."""
        yardstick = self.yardstick_from(self._decode(self.held_out, HELD_OUT_IMAGES))
        return yardstick, yardstick.distance(self._decode(self.train, self.count))

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
