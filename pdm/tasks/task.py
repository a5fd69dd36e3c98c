"""The interface of a task, and what it is told of a picture."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.data.annotations.boxes import Layout
from pdm.data.annotations.maps import ClassMap
from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import Condition
from pdm.models.levels.pyramid import Downsampling, Pyramid

# Pixels uint8 (B, H, W, 3) to standardised latents, on the device of the autoencoder.
Encode = Callable[[Pixels], Pyramid]


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of the latents, coarse to fine."""

    channels: tuple[int, ...]
    downsamplings: tuple[Downsampling, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A picture whose condition is asked for. A part that the task does not read may be None."""

    key: str
    epoch: int = 0  # how often the training has seen it before
    seed: int = 0  # of the run
    label: int | None = None  # index of its class, or the number of classes for none
    pixels: Pixels | None = None  # uint8 (H, W, 3)
    captions: tuple[str, ...] = ()
    class_map: ClassMap | None = None  # uint8 (H, W)
    layout: Layout | None = None

    def generator(self, purpose: str) -> np.random.Generator:
        """Make a generator for one purpose that depends on seed, picture and epoch only."""
        text = f"{self.seed}/{self.key}/{self.epoch}/{purpose}".encode()
        return np.random.default_rng(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()))


def refuse_to_encode(pixels: Pixels) -> Pyramid:
    """Stand for an autoencoder where no task should need one."""
    raise AssertionError(f"no autoencoder is here to encode {pixels.shape}")


class Task(Protocol):
    """What a network is conditioned on."""

    needs_pictures: ClassVar[bool]  # reads `Example.pixels`
    needs_maps: ClassVar[bool]  # reads `Example.class_map`

    def sizes(self, levels: Levels, facts: Mapping[str, Any]) -> ConditionConfig | None:
        """Return the sizes of the network's condition; None for no condition.

        Args:
            levels: Of the latents.
            facts: Those of the latents' manifest, such as the names of the classes.

        Raises:
            BadInput: The facts lack what the task needs.
        """

    def check(self, latents: LatentShards) -> None:
        """Check that the data have what the task needs, and log how much of it.

        Raises:
            BadInput: They do not; the text says what to do.
        """

    def condition(self, examples: Sequence[Example], encode: Encode) -> Condition:
        """Return the condition of a batch; the same for equal examples, whatever the batch."""

    def drop(self, sizes: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
        """Return the condition, but the one that CFG leaves out for pictures in `dropped` (B,)."""

    def finish(self, example: Example, drawn: Pixels) -> Pixels:
        """Return the picture that a user gets from the one that was drawn, such as with the known
        pixels put back."""

    def facts(self) -> dict[str, Any]:
        """Return what a trained model must remember of its data, for `config.json`."""
