"""The training loop: step, log, save a checkpoint. `pdm.training.loop.steps` has the steps.

It knows neither Ray nor trackers nor models: the caller passes a network that computes the losses,
the data, and a `Run` to report to. A run that is killed and resumed equals an uninterrupted one,
bit for bit on a CPU, because all randomness follows from the position in the run.
"""

import contextlib
from collections.abc import Iterator

from torch import nn

from pdm.config.training.loop import TrainingConfig
from pdm.counts import counted
from pdm.data.order import share
from pdm.errors import Preempted
from pdm.machine.heap import keep_freed_memory
from pdm.training.distributed.workers import Workers
from pdm.training.loop.interfaces import Data, Run
from pdm.training.loop.prefetch import prefetch_batches
from pdm.training.loop.state import TrainState
from pdm.training.loop.steps import Steps


def train(
    state: TrainState,
    network: nn.Module,
    data: Data,
    config: TrainingConfig,
    run: Run,
    workers: Workers,
    *,
    flops_per_image: float | None = None,
) -> None:
    """Train until `config.total_images`, starting wherever `state` is.

    Args:
        state: Updated in place.
        network: Maps a batch to {"loss": scalar, ...}, with scalars or vectors to log. Contains
            `state.model`, and is wrapped so that gradients are averaged over the workers.
        data: Data of all workers; each loads its share.
        config: Schedule and optimizer settings.
        run: Receives metrics every `log_every_images`, checkpoints every `save_every_images`
            and at the end.
        workers: The group of workers; may be a single one.
        flops_per_image: Of a forward and backward pass, for `flops_utilisation` in the log; None
            leaves it out.

    Raises:
        QualityGate: Losses or gradients are not finite, or a batch cannot be read. The weights are
            those of the last good step, and the newest checkpoint is intact.
        Unavailable: The device has too little memory, or a checkpoint could not be written.
        Preempted: The run was asked to stop; a checkpoint was saved.
    """
    keep_freed_memory()
    state.model.train()
    with contextlib.closing(
        prefetch_batches(data.load, _shares(state.images_seen, config, workers), workers.device)
    ) as batches:
        steps = Steps(state, network, data, batches, config, run, workers)
        if flops_per_image is not None:
            steps.meters.set_flops(flops_per_image)
        if _is_due(state.images_seen, config) and run.lacks_score(state.images_seen):
            _score(steps, state)
        while state.images_seen < config.total_images:
            stop = steps.advance()
            seen, meters = state.images_seen, steps.meters
            logs = seen % config.log_every_images == 0
            due = _is_due(seen, config)
            if logs or due or stop:
                steps.report_last_step()
            if logs:
                values = meters.read(workers) | steps.learning_rates
                with meters.timing("logging"):
                    run.log(values, seen)
            if due or stop:
                with meters.timing("saving"):
                    run.save(state)
            if due:
                _score(steps, state)
            if stop and seen < config.total_images:
                run.flush()
                raise Preempted(
                    f"stopped on request after {seen:,} of {counted(config.total_images, 'image')}"
                    f"; run the same command again to resume from {run.newest()}"
                )
    run.flush()
    state.gather_ema()  # for the caller, who writes the model


def _is_due(images_seen: int, config: TrainingConfig) -> bool:
    """Whether a checkpoint is due, with a score; one that was asked for has none."""
    at_interval = images_seen % config.save_every_images == 0
    return images_seen > 0 and (at_interval or images_seen == config.total_images)


def _score(steps: Steps, state: TrainState) -> None:
    state.gather_ema()
    steps.score()
    state.release_ema()


def _shares(images_seen: int, config: TrainingConfig, workers: Workers) -> Iterator[range]:
    """Yield the positions of this worker's shares, in training order."""
    for start in range(images_seen, config.total_images, config.batch_size):
        batch = share(range(start, start + config.batch_size), workers.rank, workers.count)
        for number in range(config.accumulation):
            yield share(batch, number, config.accumulation)
