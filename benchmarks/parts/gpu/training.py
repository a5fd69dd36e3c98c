"""Training steps of the project's own loop, on random data that lie in memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from benchmarks.parts.gpu.clock import (
    Launches,
    Profile,
    memory_note,
    peak_gib,
    reset_peak,
    synchronise,
)
from benchmarks.parts.gpu.rows import Row
from benchmarks.parts.gpu.sizes import Size, build_autoencoder, build_unet, level_shapes_of
from benchmarks.parts.training.no_run import NoRun
from pdm.config.training.loop import TrainingConfig
from pdm.models.levels.pyramid import LevelShape
from pdm.models.regions import Region, Span
from pdm.training.distributed.workers import Workers
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.interfaces import Data
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at, uniform_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.cost.utilisation import flops_per_image, matrix_rate
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses, Plan

WARMUP_STEPS = 4
PROFILED_STEPS = 2
NUM_BATCHES = 4  # kept in memory; drawing noise for each step would be timed, too


class Latents:
    """Random latents with noise and times: `Data` for the loop."""

    def __init__(self, size: Size) -> None:
        self.batch_size, shapes = size.diffusion.training.batch_size, level_shapes_of(size)
        self.batches = [self._draw(number, shapes) for number in range(NUM_BATCHES)]

    def load(self, positions: range) -> Batch:
        return self.batches[positions.start // self.batch_size % NUM_BATCHES]

    def keys(self, positions: range) -> list[str]:
        return [str(position) for position in positions]

    def _draw(self, number: int, shapes: tuple[LevelShape, ...]) -> Batch:
        positions = range(number * self.batch_size, (number + 1) * self.batch_size)
        data, noise = (normal_pyramid_at(0, positions, name, shapes) for name in ("data", "noise"))
        ones = torch.ones(len(positions))
        return data, noise, uniform_at(0, positions, "time"), ones, ones


class Crops:
    """Random pictures with noise for their latents, of which one crop is decoded."""

    def __init__(self, size: Size) -> None:
        self.size, self.batch_size = size, size.autoencoder.training.batch_size
        self.batches = [self._draw(number) for number in range(NUM_BATCHES)]

    def load(self, positions: range) -> Batch:
        return self.batches[positions.start // self.batch_size % NUM_BATCHES]

    def keys(self, positions: range) -> list[str]:
        return [str(position) for position in positions]

    def _draw(self, number: int) -> Batch:
        positions = range(number * self.batch_size, (number + 1) * self.batch_size)
        height, width = self.size.picture
        images = torch.rand(
            len(positions), 3, height, width, generator=generator_at(0, number, "images")
        )
        noise = normal_pyramid_at(0, positions, "latents", level_shapes_of(self.size))
        side, region = self.size.autoencoder.crop_px, None
        if side:
            top, left = (height - side) // 2, (width - side) // 2
            region = Region(Span(top, top + side), Span(left, left + side), height, width)
        # Half of the levels, as a random number of them is on average.
        levels = max(1, len(noise) // 2)
        return 2 * images - 1, noise, Plan(levels, 1, 0, region, None)


class StepClock(NoRun):
    """A run that calls something at the start of chosen steps."""

    def __init__(self, actions: dict[int, Callable[[], None]]) -> None:
        self.actions, self.step = actions, 0

    def stop_requested(self) -> bool:
        """Called at the start of each step."""
        self.actions.get(self.step, lambda: None)()
        self.step += 1
        return False


def unet_steps(size: Size, device: torch.device, compiled: bool) -> Iterator[Row]:
    """Steps of the UNet."""
    losses = FlowLosses(build_unet(size, device), size.diffusion.level_loss_weights)
    training = replace(size.diffusion.training, compile=compiled)
    yield from _measure("unet", size, losses, Latents(size), training, device)


def autoencoder_steps(size: Size, device: torch.device, compiled: bool) -> Iterator[Row]:
    """Steps of the autoencoder: whole pictures encoded, crops decoded."""
    losses = AutoencoderLosses(build_autoencoder(size, device), size.autoencoder, None, None)
    training = replace(size.autoencoder.training, compile=compiled)
    yield from _measure("autoencoder", size, losses, Crops(size), training, device)


def _measure(
    name: str,
    size: Size,
    losses: FlowLosses | AutoencoderLosses,
    data: Data,
    training: TrainingConfig,
    device: torch.device,
) -> Iterator[Row]:
    times: dict[str, float] = {}
    profile = Profile(device)
    launches: list[Launches] = []

    def mark(what: str) -> Callable[[], None]:
        def note() -> None:
            synchronise(device)
            times[what] = time.perf_counter()

        return note

    def end_timing() -> None:
        mark("end")()
        times["peak"] = peak_gib(device)
        profile.start()

    last = WARMUP_STEPS + size.num_steps
    clock = StepClock(
        {
            0: mark("first"),
            1: mark("second"),
            WARMUP_STEPS: mark("begin"),
            last: end_timing,
            last + PROFILED_STEPS: lambda: launches.append(profile.stop()),
        }
    )
    total = (last + PROFILED_STEPS + 1) * training.batch_size
    training = replace(
        training, total_images=total, log_every_images=total, save_every_images=total
    )
    reset_peak(device)
    state, workers = TrainState(losses.model, training), Workers(device)
    prepare_blocks(losses.model, training, device)
    network = workers.wrap(losses, training)
    train(state, network, data, training, clock, workers)
    speed = size.num_steps * training.batch_size / (times["end"] - times["begin"])
    yield from _rows(name, size, training, speed, times, launches[0], device)
    yield _utilisation(name, losses, data, training, speed, device)


def _rows(
    name: str,
    size: Size,
    training: TrainingConfig,
    speed: float,
    times: dict[str, float],
    launches: Launches,
    device: torch.device,
) -> Iterator[Row]:
    way = "compiled" if training.compile else "default"
    key, batch = f"{name}_step_{way}", training.batch_size
    what = f"training step of the {name}, {size.side}, batch {batch}, {training.precision}, {way}"
    yield Row(f"{key}_images_per_second", what, speed, "images/s")
    yield Row(
        f"{key}_first_seconds",
        f"{what}: first step",
        times["second"] - times["first"],
        "s",
        note="with compilation",
    )
    yield Row(
        f"{key}_peak_gib", f"{what}: peak memory", times["peak"], "GiB", note=memory_note(device)
    )
    kinds = "kernels and copies" if device.type == "cuda" else "operations, on a CPU"
    yield Row(f"{key}_launches", f"{what}: {kinds} a step", launches.count / PROFILED_STEPS)
    if launches.busy is not None:
        yield Row(
            f"{key}_host_gaps",
            f"{what}: share of the time in which the GPU waits for the host",
            1 - launches.busy,
            note="under the profiler, which slows the host",
        )


def _utilisation(
    name: str,
    losses: nn.Module,
    data: Data,
    training: TrainingConfig,
    speed: float,
    device: torch.device,
) -> Row:
    """Share of the matrix rate (MFU)."""
    batch = to_device(data.load(range(training.batch_size)), torch.device("meta"))
    flops = flops_per_image(losses, batch)
    if flops is None:
        raise ValueError(f"the operations of the {name} cannot be counted on the meta device")
    rate = matrix_rate(device, torch.bfloat16)
    way = "compiled" if training.compile else "default"
    return Row(
        f"{name}_step_{way}_mfu",
        f"training step of the {name}, {way}: share of the matrix rate",
        flops * speed / rate,
        goal="0.42" if name == "unet" else "",
        note=f"{flops / 1e12:.3g} TFLOP a picture, forward and backward; matrix rate "
        f"{rate / 1e12:.4g} TFLOP/s in this process",
    )


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move the tensors of a batch, also those in tuples."""
    return tuple(
        to_device(one, device)
        if isinstance(one, tuple)
        else one.to(device)
        if isinstance(one, torch.Tensor)
        else one
        for one in batch
    )
