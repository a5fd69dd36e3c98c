"""The training loop: batch, loss, check, gradient, step, average, report. Nothing else.

It knows no Ray and no tracker, and no model: the caller gives the network that computes the losses,
the data, and a `Run` to report to. A run that is killed and goes on from its checkpoint equals an
unbroken one, bit for bit on a CPU, because all randomness follows from the position in the run.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from pdm.config.common import TrainingConfig
from pdm.data.order import share
from pdm.errors import Preempted, PyramidError, QualityGate, Unavailable
from pdm.training.feed import Batch, fed
from pdm.training.meters import Meters
from pdm.training.seeds import seed_at
from pdm.training.state import TrainState
from pdm.training.workers import Workers

FINE, STOP, FAULT = range(3)  # what a worker tells the others before each step; the highest counts
Fault = tuple[type[PyramidError], str]


class Run(Protocol):
    """Where a training run reports to."""

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Record scalars against progress in images."""

    def save(self, state: TrainState) -> None:
        """Begin to keep a checkpoint from which `train` can go on."""

    def settle(self) -> None:
        """Wait until what `save` began is kept; raises `Unavailable` if it cannot be."""

    def save_failed(self) -> bool:
        """Whether `settle` would raise, so far as is known."""

    def newest(self) -> str:
        """Name of the newest checkpoint, for a message."""

    def stop_requested(self) -> bool:
        """Whether the run is to end early, keeping a checkpoint."""


class Data(Protocol):
    """The endless sequence of training images, by position."""

    def load(self, positions: range) -> Batch:
        """The network's inputs, on the CPU; what is random in them follows from the positions."""

    def keys(self, positions: range) -> list[str]:
        """Names of the images, for a message."""


def train(
    state: TrainState,
    network: nn.Module,
    data: Data,
    config: TrainingConfig,
    run: Run,
    workers: Workers,
) -> None:
    """Train until `config.total_images`, starting wherever `state` is.

    Args:
        state: Advanced in place.
        network: From a batch to {"loss": scalar, ...}, all of them scalars or vectors to log;
            wrapped for the workers, so that gradients arrive averaged. Holds `state.model`.
        data: Of all workers; each reads its share.
        config: Schedule and optimizer settings.
        run: Receives metrics every `log_every_images`, checkpoints every `save_every_images`
            and at the end.
        workers: The group; a single worker where there is none.

    Raises:
        QualityGate: A loss or gradient is not finite, or a batch cannot be read. The weights are
            still those of the last good step, and the newest checkpoint is sound.
        Unavailable: The device has too little memory, or a checkpoint could not be written.
        Preempted: The run asked to stop; a checkpoint was kept.
    """
    state.model.train()
    with contextlib.closing(
        fed(data.load, _shares(state.images_seen, config, workers), workers.device)
    ) as batches:
        steps = _Steps(state, network, data, batches, config, run, workers)
        while state.images_seen < config.total_images:
            stop = steps.advance()
            seen = state.images_seen
            if seen % config.log_every_images == 0:
                run.log(steps.meters.read(workers), seen)
            if stop or seen % config.save_every_images == 0 or seen == config.total_images:
                run.save(state)
            if stop and seen < config.total_images:
                run.settle()
                raise Preempted(
                    f"stopped as asked, after {seen:,} of {config.total_images:,} images; "
                    f"run the same command again to go on from {run.newest()}"
                )
    run.settle()


def learning_rate_at(images_seen: int, peak: float, config: TrainingConfig) -> float:
    """Learning rate of the step that begins there: a linear rise, then constant."""
    risen = min(1.0, (images_seen + config.batch_size) / max(config.warmup_images, 1))
    return peak * risen


@dataclass
class _Steps:
    state: TrainState
    network: nn.Module
    data: Data
    batches: Iterator[tuple[range, Batch]]
    config: TrainingConfig
    run: Run
    workers: Workers
    meters: Meters = field(default_factory=Meters)

    def advance(self) -> bool:
        """One optimizer step; returns whether the workers agreed to stop after it."""
        stop = self.run.stop_requested()
        for number in range(self.config.accumulation):
            last = number == self.config.accumulation - 1
            # The workers' gradients meet in the last pass only: a worker that finds a fault before
            # may then turn to the others at once.
            with contextlib.nullcontext() if last else _unsynchronised(self.network):
                losses, fault = self.losses()
                if last or fault:
                    stop = self.agree(stop, fault)
                with self.memory():
                    torch.autograd.backward(losses["loss"] / self.config.accumulation)
        with self.memory():
            self.descend()
        return stop

    def losses(self) -> tuple[dict[str, Tensor], Fault | None]:
        """Losses of this worker's next share, and what is wrong, if anything."""
        try:
            if self.run.save_failed():
                self.run.settle()
            with self.memory():
                return self.computed()
        except PyramidError as error:
            return {}, (type(error), str(error))

    def computed(self) -> tuple[dict[str, Tensor], Fault | None]:
        """The same; whatever is wrong with images, memory or disk is raised."""
        began = time.perf_counter()
        positions, batch = next(self.batches)
        self.meters.waited(time.perf_counter() - began)
        # By position, not once at the start: a resumed run drops out what the unbroken one does.
        torch.manual_seed(seed_at(self.config.seed, positions.start, "dropout"))
        reduced = self.config.precision == "bfloat16"
        with torch.autocast(self.workers.device.type, torch.bfloat16, enabled=reduced):
            losses: dict[str, Tensor] = self.network(*batch)
        self.meters.add(losses)
        if losses["loss"].isfinite():
            return losses, None
        keys = ", ".join(self.data.keys(positions))
        said = f"the loss is {losses['loss'].item()} on the images {keys}"
        return losses, (QualityGate, said)

    def agree(self, stop: bool, fault: Fault | None) -> bool:
        """Tell the other workers how this one fares; all go on, all stop, or all fail."""
        level = self.workers.highest(FAULT if fault else STOP if stop else FINE)
        if level == FAULT:
            kind, said = next(told for told in self.workers.gather(fault) if told)
            raise self.failure(said) if kind is QualityGate else kind(said)
        return level == STOP

    @contextlib.contextmanager
    def memory(self) -> Iterator[None]:
        """Say what may help when the device's memory is too small for a step."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            config = self.config
            count = config.batch_size // (config.num_workers * config.accumulation)
            raise Unavailable(
                f"after {self.state.images_seen:,} images {self.workers.device} has too little "
                f"memory for {count} images at once in {config.precision} ({error}); raise "
                "training.accumulation or num_workers, lower batch_size, or train in bfloat16"
            ) from error

    def descend(self) -> None:
        """Move the weights by the gathered gradient, and the average after them."""
        state, config = self.state, self.config
        norms = {}
        for group in state.optimizer.param_groups:
            seen = state.images_seen - group["start_images"]
            if seen < 0:
                _drop_gradients(group["params"])
                continue
            group["lr"] = learning_rate_at(seen, group["peak"], config)
            # Each network by itself, or the steeper one would slow the other.
            norm = nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
            if not norm.isfinite():
                raise self.failure(f"the norm of the gradient is {norm.item()}")
            norms[group["norm"]] = norm
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.step_average(config.ema_half_life_images, config.batch_size)
        self.meters.count(config.batch_size, **norms)

    def failure(self, fault: str) -> QualityGate:
        """The error to end with; the weights are those of the last good step."""
        return QualityGate(
            f"after {self.state.images_seen:,} images {fault}. The newest checkpoint "
            f"({self.run.newest()}) is sound; look at these images, lower learning_rate, or train "
            "in float32"
        )


def _drop_gradients(weights: list[nn.Parameter]) -> None:
    """Without a gradient the optimizer passes over a weight: no decay, no moments, no count."""
    for weight in weights:
        weight.grad = None


def _unsynchronised(network: nn.Module) -> contextlib.AbstractContextManager[None]:
    if isinstance(network, nn.parallel.DistributedDataParallel):
        return network.no_sync()
    return contextlib.nullcontext()


def _shares(images_seen: int, config: TrainingConfig, workers: Workers) -> Iterator[range]:
    """Positions of this worker's shares, in the order in which it trains on them."""
    for start in range(images_seen, config.total_images, config.batch_size):
        batch = share(range(start, start + config.batch_size), workers.rank, workers.count)
        for number in range(config.accumulation):
            yield share(batch, number, config.accumulation)
