"""Whether the disk has room for the checkpoints of a training: asked before it, not days later."""

from collections.abc import Iterable

from torch import Tensor

from pdm import ema
from pdm.config.training.loop import TrainingConfig
from pdm.data.space import require_disk_space
from pdm.errors import Unavailable
from pdm.training.checkpoints.folder import Checkpoints, list_checkpoints
from pdm.training.checkpoints.snapshots import MAX_MARKS
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.updates.muon import Muon, is_matrix


def check_disk_space(
    state: TrainState, checkpoints: Checkpoints, config: TrainingConfig, workers: Workers
) -> None:
    """Compare the free space with what the rest of a training keeps. All workers must call this.

    Args:
        state: As built, or restored.
        checkpoints: Of the run.
        config: How often checkpoints are written, and how many are kept.
        workers: The disk of worker 0 counts; all raise together.

    Raises:
        Unavailable: There is too little; the text says how much is needed, and where.
    """
    shortage = Unavailable("worker 0 has too little disk space for the checkpoints")
    is_short = False
    if workers.is_first:
        try:
            require_disk_space(checkpoints.folder, bytes_to_come(state, checkpoints, config))
        except Unavailable as error:
            is_short, shortage = True, error
    if workers.broadcast_first(int(is_short)):
        raise shortage


def bytes_to_come(state: TrainState, checkpoints: Checkpoints, config: TrainingConfig) -> int:
    """Bytes that the run's checkpoints and EMA snapshots take at most, beside those that are there
    and make room for them."""
    seen, total, every = state.images_seen, config.total_images, config.keep_every_images
    num_written = -(-(total - seen) // config.save_every_images)
    num_kept = total // every - seen // every if every else 0
    there = list_checkpoints(checkpoints.folder.parent)
    num_replaced = sum(not every or number % every > 0 for number in there)
    # Beside the newest there are the best, and for a while the one that is being written.
    num_more = num_kept + max(0, config.keep_checkpoints + 2 - num_replaced)
    lengths = len(config.ema_lengths)
    num_snapshots = len(ema.snapshots_in(checkpoints.folder / ema.FOLDER))
    num_more_snapshots = min(num_written * lengths, max(0, MAX_MARKS * lengths - num_snapshots))
    of_snapshots = num_more_snapshots * _bytes(state.model.parameters())
    return min(num_written, num_more) * checkpoint_bytes(state) + of_snapshots


def checkpoint_bytes(state: TrainState) -> int:
    """Bytes of a checkpoint's tensors: weights, EMAs and the optimizer's moments."""
    networks = [state.model, state.model, *([state.discriminator] if state.discriminator else [])]
    weights = sum(_bytes(network.state_dict().values()) for network in networks)
    emas = (len(state.ema_weights) - 1) * _bytes(state.model.parameters())
    groups = state.optimizer.param_groups
    moments = 2 * sum(_bytes(group["params"]) for group in groups)
    if isinstance(state.optimizer, Muon):  # one moment of a matrix, in place of AdamW's two
        orthogonal = (group["params"] for group in groups if group["orthogonal"])
        moments -= sum(_bytes(one for one in weights if is_matrix(one)) for weights in orthogonal)
    return weights + emas + moments


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of sharded tensors, all shards together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
