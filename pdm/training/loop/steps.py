"""One training step: batch, loss, gradient, checks, optimizer step, EMA.

A worker that meets a fault reports it to the others before any of them starts the pass. So all stop
together, with the weights of the last good step. A fault within a pass, such as running out of
memory, cannot be reported, since the others are waiting in the pass. It ends this worker, and the
launcher ends the others.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from pdm.config.training.loop import TrainingConfig
from pdm.counts import counted
from pdm.errors import PyramidError, QualityGate
from pdm.machine.out_of_memory import explain_out_of_memory
from pdm.seeds import seed_at
from pdm.training.distributed.workers import Workers
from pdm.training.loop.interfaces import Data, Run
from pdm.training.loop.precision import autocast, dtype_of
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.state import TrainState
from pdm.training.loop.updates.optimizer import clip_gradients, learning_rate_at, step_unless
from pdm.training.loop.updates.skipping import HostCopy, StepNumbers
from pdm.training.monitoring.meters import Meters

logger = logging.getLogger(__name__)

FINE, STOP, FAULT = range(3)  # what workers report before each pass; the highest counts
Fault = tuple[type[PyramidError], str]


@dataclass
class Steps:
    """Takes the steps of `pdm.training.loop.train.train`, and has the same arguments.

    Args:
        batches: Positions and batches of this worker's shares, in order.
    """

    state: TrainState
    network: nn.Module
    data: Data
    batches: Iterator[tuple[range, Batch]]
    config: TrainingConfig
    run: Run
    workers: Workers

    def __post_init__(self) -> None:
        self.meters = Meters(self.workers.device, dtype_of(self.config))
        self.num_skipped = 0  # steps in a row
        self.last_step: tuple[StepNumbers, HostCopy] | None = None  # not yet reported
        self.learning_rates: dict[str, float] = {}  # in the last step, by name in the log

    def advance(self) -> bool:
        """Take one optimizer step, and return whether the workers agreed to stop after it.

        Raises:
            QualityGate: Images cannot be read, or too many steps in a row were not finite.
            Unavailable: The device has too little memory, or a checkpoint could not be written.
        """
        stop = self.run.stop_requested()
        self.passes: list[tuple[range, Tensor]] = []  # positions and loss of each
        for number in range(self.config.accumulation):
            share, fault = self.next_share()
            # Before the forward pass, which waits for all workers with sharded weights, and with
            # DDP from the second step on.
            stop = self.agree_on_faults(stop, fault)
            positions, batch = share
            last = number == self.config.accumulation - 1
            synchronised = (
                contextlib.nullcontext() if last else _without_gradient_sync(self.network)
            )
            with synchronised, self.explain_out_of_memory():
                loss = self.run_forward(positions, batch)
                torch.autograd.backward(loss / self.config.accumulation)
        with self.explain_out_of_memory():
            self.update_weights()
        return stop

    @property
    def micro_batch_size(self) -> int:
        """Number of images in one pass on one worker."""
        return self.config.micro_batch_size(self.workers.count)

    def next_share(self) -> tuple[tuple[range, Batch], Fault | None]:
        """Load this worker's next share; also return the fault of its images or disk, if any."""
        try:
            if self.run.save_failed():
                self.run.flush()
            with self.meters.timing("data_wait"), self.explain_out_of_memory():
                return next(self.batches), None
        except PyramidError as error:
            return (range(0), ()), (type(error), str(error))

    def run_forward(self, positions: range, batch: Batch) -> Tensor:
        """Compute the loss of a share, with its graph."""
        self.state.iterate_spectral_norms()
        # Seeded by position, so that dropout is the same in a resumed run.
        torch.manual_seed(seed_at(self.config.seed, positions.start, "dropout"))
        with autocast(self.config, self.workers.device):
            losses: dict[str, Tensor] = self.network(*batch)
        if not self.config.checkpoint_activations:  # else the backward pass needs them again
            self.state.release_divided_weights()
        self.meters.add(losses)
        loss = losses["loss"]
        self.passes.append((positions, loss.detach()))
        return loss

    def agree_on_faults(self, stop: bool, fault: Fault | None) -> bool:
        """Exchange faults and stop requests with the other workers: all continue, stop, or fail."""
        level = self.workers.max_over_workers(FAULT if fault else STOP if stop else FINE)
        if level == FAULT:
            kind, message = next(one for one in self.workers.gather(fault) if one)
            if kind is QualityGate:
                raise self.training_failure(message, self.state.images_seen)
            raise kind(message)
        return level == STOP

    def explain_out_of_memory(self) -> contextlib.AbstractContextManager[None]:
        """Turn an out-of-memory error of a pass into advice on what to change."""
        return explain_out_of_memory(
            self.workers.device,
            f"for {counted(self.micro_batch_size, 'image')} at once in {self.config.precision}, "
            f"after {counted(self.state.images_seen, 'image')}",
            "raise training.accumulation or num_workers, lower batch_size, or train in bfloat16",
        )

    def score(self) -> None:
        """Score the state of the last checkpoint.

        Raises:
            Unavailable: The device has too little memory.
        """
        with (
            self.meters.timing("scoring"),
            explain_out_of_memory(
                self.workers.device,
                f"to score the checkpoint after {counted(self.state.images_seen, 'image')}",
                "train on a device with more memory, or in bfloat16; "
                "the checkpoint itself is saved",
            ),
        ):
            self.run.score(self.state)

    def update_weights(self) -> None:
        """Take the optimizer step with the accumulated gradient, and update the EMA.

        Gradients are means over the workers, so a gradient that is not finite on one worker is not
        finite on any. Then all workers skip the step, and its images count as seen.
        """
        state, config = self.state, self.config
        norms = self.clip_gradients()
        self.report_last_step()
        numbers = StepNumbers(state.images_seen, self.passes, norms)
        skip = numbers.is_faulty()
        with self.meters.timing("saving"):
            state.wait_for_reader()
        step_unless(skip, state.optimizer)
        state.rescale_spectral_weights()
        self.last_step = numbers, numbers.copy_to_host()
        state.optimizer.zero_grad(set_to_none=True)
        state.update_ema(config.ema_half_life_images, config.batch_size)
        counted = {name: norm.where(skip == 0, torch.nan) for name, norm in norms.items()}
        self.meters.count(config.batch_size, skipped_steps=skip, **counted)

    def clip_gradients(self) -> dict[str, Tensor]:
        """Clip the gradient of each network separately, so that a steep one does not slow the
        other.

        Returns:
            Norms before clipping, by name in the log, of the networks that learn in this step.
        """
        norms = {}
        for network in self.state.networks:
            seen, start = self.state.images_seen, network.start_images
            if seen < start:
                _drop_gradients(network.weights)
                continue
            rate = learning_rate_at(seen, network.learning_rate, self.config, start)
            network.set_learning_rate(self.state.optimizer, rate)
            self.learning_rates[f"learning_rate{network.suffix}"] = rate
            norms[f"grad_norm{network.suffix}"] = clip_gradients(
                network.weights, self.config.max_grad_norm
            )
        return norms

    def report_last_step(self) -> None:
        """Log the last step if it was skipped; called while the device works on the next one.

        Raises:
            QualityGate: On all workers, if too many in a row were skipped.
        """
        if self.last_step is None:
            return
        (step, copy), self.last_step = self.last_step, None
        fault, loss = step.faults(copy, self.data.keys)
        if fault is None:
            self.num_skipped = 0
            return
        if self.num_skipped >= self.config.max_skipped_steps:
            # Every worker gets here; report the first loss that is not finite on any of them.
            losses = [one for one in self.workers.gather(loss) if one]
            raise self.training_failure(losses[0] if losses else fault, step.images_seen)
        self.num_skipped += 1
        logger.warning(
            "after %s, worker %s skipped a step: %s",
            counted(step.images_seen, "image"),
            self.workers.rank,
            loss or fault,
        )

    def training_failure(self, fault: str, images_seen: int) -> QualityGate:
        """Make the error that ends the run; the weights are those of the last good step."""
        return QualityGate(
            f"after {counted(images_seen, 'image')}: {fault}. Newest intact checkpoint: "
            f"{self.run.newest()}. Look at these images, lower learning_rate, or train in float32"
        )


def _drop_gradients(weights: list[nn.Parameter]) -> None:
    """Drop gradients, so that the optimizer skips these weights: no decay, no moments, no count."""
    for weight in weights:
        weight.grad = None


@contextlib.contextmanager
def _without_gradient_sync(network: nn.Module) -> Iterator[None]:
    """Accumulate gradients on each worker separately."""
    if isinstance(network, nn.parallel.DistributedDataParallel):
        with network.no_sync():
            yield
        return
    sharded = [module for module in network.modules() if isinstance(module, FSDPModule)]
    for module in sharded:
        module.set_requires_gradient_sync(False, recurse=False)
    try:
        yield
    finally:
        for module in sharded:
            module.set_requires_gradient_sync(True, recurse=False)
