"""Trainings without shards, runs or Ray: data in memory, and a clock that ends them."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import nn

from benchmarks.parts.training.no_run import NoRun
from pdm.config.training.loop import TrainingConfig
from pdm.data.pixels import Pixels
from pdm.errors import Preempted
from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.training.distributed.workers import Workers
from pdm.training.loop.interfaces import Data
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

ENDLESS = 8 * 10**8  # images; the clock ends the run


class CropsInMemory:
    """What the trainer of autoencoders asks of shards."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.keys = [str(number) for number in range(len(pixels))]
        self.manifest = SimpleNamespace(facts={"height_px": pixels.shape[1]})
        self.bucket_ranges = [range(len(pixels))]

    def __len__(self) -> int:
        return len(self.pixels)

    def size_in(self, bucket: int, height: int, width: int) -> tuple[int, int]:
        """The requested size, since there is one bucket."""
        return height, width

    def batch(self, indices: Sequence[int], height: int, width: int) -> Pixels:
        """The crops; they have one size only, whatever the requested size."""
        return self.pixels[list(indices)]


class LatentsInMemory:
    """What the trainer of denoising networks asks of latents."""

    def __init__(self, pyramid: Pyramid) -> None:
        self.pyramid = pyramid
        self.keys = [str(number) for number in range(len(pyramid[0]))]
        shapes = [tuple(level.shape[1:]) for level in pyramid]
        self.level_shapes: list[LevelShape] = [(c, h, w) for c, h, w in shapes]
        self.bucket_ranges = [range(len(self.keys))]

    def __len__(self) -> int:
        return len(self.keys)

    def batch(self, indices: Sequence[int]) -> Pyramid:
        """Latents by number."""
        chosen = torch.as_tensor(indices)
        return tuple(level[chosen] for level in self.pyramid)


@dataclasses.dataclass
class Clock(NoRun):
    """A run that ends after its processor time."""

    seconds: float
    curve: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.process_time)

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        self.curve.append((images_seen, round(metrics["loss"], 4)))

    def stop_requested(self) -> bool:
        return time.process_time() - self.began > self.seconds


def trained(
    state: TrainState,
    losses: nn.Module,
    data: Data,
    config: TrainingConfig,
    seconds: float | None,
) -> Clock:
    """Train for processor seconds, or as many images as the config says."""
    clock = Clock(seconds or math.inf)
    with contextlib.suppress(Preempted):  # the clock's way to end it
        train(state, losses, data, config, clock, Workers(torch.device("cpu")))
    return clock
