"""Trainings without shards, runs or Ray: data in memory, and a clock that ends them."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from benchmarks.parts.training.no_run import NoRun
from pdm.config.training.loop import TrainingConfig
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.data.shards.manifest import Manifest
from pdm.errors import Preempted
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.training.distributed.workers import Workers
from pdm.training.loop.interfaces import Data
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

ENDLESS = 8 * 10**8  # images; the clock ends the run


class CropsInMemory(ImageShards):
    """Shards without files: what a training and the measuring of its latents ask of them."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.keys = [str(number) for number in range(len(pixels))]
        self.manifest = Manifest({}, {"height_px": pixels.shape[1]})
        self.bucket_ranges = [range(len(pixels))]

    def size_in(self, bucket: int, height: int, width: int) -> tuple[int, int]:
        """The requested size, since there is one bucket."""
        return height, width

    def batch(self, indices: Sequence[int], height: int, width: int) -> Pixels:
        """The crops; they have one size only, whatever the requested size."""
        chosen: Pixels = self.pixels[list(indices)]
        return chosen


class LatentsInMemory(LatentShards):
    """Latents without files: what trainings of flows and their distillation ask of them."""

    def __init__(self, pyramid: Pyramid) -> None:
        self.pyramid = pyramid
        self.keys = [str(number) for number in range(len(pyramid[0]))]
        self.bucket_ranges = [range(len(self.keys))]

    @property
    def level_shapes(self) -> tuple[LevelShape, ...]:
        """(C, h, w) of each level."""
        return tuple((c, h, w) for _, c, h, w in (level.shape for level in self.pyramid))

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


def ema_of(state: TrainState) -> Denoiser:
    """The EMA of a flow's network."""
    return cast(Denoiser, state.ema)
