"""Weights that are spread over the workers (FSDP2), as the rest of the training sees them."""

from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from pdm.config.common import TrainingConfig
from pdm.training.loop.activation_checkpointing import blocks_of

FORWARD_METHODS = ("posterior", "decode_raw")  # methods beside `forward` that a training loss calls


def shard_model(model: nn.Module, config: TrainingConfig) -> bool:
    """Spread the weights over the workers if the config says so, and there are several.

    Each block gathers its own weights when it is entered, and lets go of them when it is left. The
    weights are laid out anew (FSDP2 knows no channels_last); on all they start out as the first's.

    Returns:
        Whether they are spread now: its parameters are `DTensor`s.
    """
    if config.strategy != "fsdp" or not distributed.is_initialized():
        return False
    weight = next(model.parameters())
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()
        distributed.broadcast(tensor.data, src=0)
    mesh = init_device_mesh(weight.device.type, (distributed.get_world_size(),))
    for block in blocks_of(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for name in FORWARD_METHODS:
        if hasattr(model, name):
            register_fsdp_forward_method(model, name)
    return True


def full_tensor(tensor: Tensor) -> Tensor:
    """The whole of a tensor. Where it is spread, every worker must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(pattern: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor, spread as the pattern is; each worker keeps its own part of its own."""
    if not isinstance(pattern, DTensor):
        return tensor
    here = tensor.to(pattern.device)
    return distribute_tensor(here, pattern.device_mesh, pattern.placements, src_data_rank=None)
