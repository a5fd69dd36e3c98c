"""One optimizer step: batch, loss, check, gradient, step, average.

A worker that meets a fault tells the others before any of them moves its weights: all stop
together, and the weights are those of the last good step.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from pdm.config.common import TrainingConfig
from pdm.errors import PyramidError, QualityGate, Unavailable
from pdm.training.distributed.sharded import full_tensor
from pdm.training.distributed.workers import Workers
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import seed_at
from pdm.training.loop.state import TrainState
from pdm.training.monitoring.meters import Meters
from pdm.training.monitoring.utilisation import flops_of_pass

FINE, STOP, FAULT = range(3)  # what a worker tells the others before each step; the highest counts
Fault = tuple[type[PyramidError], str]


class Run(Protocol):
    """Where a training run reports to."""

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        """Record scalars against progress in images."""

    def save(self, state: TrainState) -> None:
        """Begin to keep a checkpoint from which `train` can go on."""

    def score(self, state: TrainState) -> None:
        """Judge the state of the last `save`."""

    def flush(self) -> None:
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


def learning_rate_at(images_seen: int, peak: float, config: TrainingConfig) -> float:
    """Learning rate of the step that begins there: a linear rise, then constant."""
    risen = min(1.0, (images_seen + config.batch_size) / max(config.warmup_images, 1))
    return peak * risen


@dataclass
class Steps:
    """Takes the steps of `pdm.training.loop.train.train`, whose arguments it has.

    Args:
        batches: This worker's shares, with their positions, in order.
    """

    state: TrainState
    network: nn.Module
    data: Data
    batches: Iterator[tuple[range, Batch]]
    config: TrainingConfig
    run: Run
    workers: Workers

    def __post_init__(self) -> None:
        reduced = self.config.precision == "bfloat16"
        dtype = torch.bfloat16 if reduced else torch.float32
        self.meters = Meters(self.workers.device, dtype)
        self.is_counted = False  # how much a pass computes

    def advance(self) -> bool:
        """One optimizer step; returns whether the workers agreed to stop after it."""
        stop = self.run.stop_requested()
        for number in range(self.config.accumulation):
            last = number == self.config.accumulation - 1
            # The workers' gradients meet in the last pass only: a worker that finds a fault before
            # may then turn to the others at once.
            alone = contextlib.nullcontext() if last else _without_gradient_sync(self.network)
            with alone:
                losses, fault = self.compute_losses()
                if last or fault:
                    stop = self.agree_on_faults(stop, fault)
                with self.explain_out_of_memory():
                    torch.autograd.backward(losses["loss"] / self.config.accumulation)
        with self.explain_out_of_memory():
            self.update_weights()
        return stop

    @property
    def microbatch_size(self) -> int:
        """Images of one pass on one worker."""
        return self.config.batch_size // (self.workers.count * self.config.accumulation)

    def compute_losses(self) -> tuple[dict[str, Tensor], Fault | None]:
        """Losses of this worker's next share, and what is wrong, if anything."""
        try:
            if self.run.save_failed():
                self.run.flush()
            with self.explain_out_of_memory():
                return self.run_forward()
        except PyramidError as error:
            return {}, (type(error), str(error))

    def run_forward(self) -> tuple[dict[str, Tensor], Fault | None]:
        """The same; whatever is wrong with images, memory or disk is raised."""
        with self.meters.timing("data_wait"):
            positions, batch = next(self.batches)
        if not self.is_counted:
            self.meters.compare(flops_of_pass(self.network, batch) / len(positions))
            self.is_counted = True
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

    def agree_on_faults(self, stop: bool, fault: Fault | None) -> bool:
        """Tell the other workers how this one fares; all go on, all stop, or all fail."""
        level = self.workers.max_over_workers(FAULT if fault else STOP if stop else FINE)
        if level == FAULT:
            kind, said = next(told for told in self.workers.gather(fault) if told)
            raise self.training_failure(said) if kind is QualityGate else kind(said)
        return level == STOP

    @contextlib.contextmanager
    def explain_out_of_memory(self) -> Iterator[None]:
        """Say what may help when the device's memory is too small for a step."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise Unavailable(
                f"after {self.state.images_seen:,} images {self.workers.device} has too little "
                f"memory for {self.microbatch_size} images at once in {self.config.precision} "
                f"({error}); raise training.accumulation or num_workers, lower batch_size, or "
                "train in bfloat16"
            ) from error

    def update_weights(self) -> None:
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
            norm = full_tensor(nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm))
            if not norm.isfinite():
                raise self.training_failure(f"the norm of the gradient is {norm.item()}")
            norms[group["norm"]] = norm
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.update_ema(config.ema_half_life_images, config.batch_size)
        self.meters.count(config.batch_size, **norms)

    def training_failure(self, fault: str) -> QualityGate:
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


@contextlib.contextmanager
def _without_gradient_sync(network: nn.Module) -> Iterator[None]:
    """Within the block gradients gather on each worker by itself."""
    if isinstance(network, nn.parallel.DistributedDataParallel):
        with network.no_sync():
            yield
        return
    spread = [module for module in network.modules() if isinstance(module, FSDPModule)]
    for module in spread:
        module.set_requires_gradient_sync(False, recurse=False)
    try:
        yield
    finally:
        for module in spread:
            module.set_requires_gradient_sync(True, recurse=False)
