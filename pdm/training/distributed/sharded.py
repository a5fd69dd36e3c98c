"""Weights sharded over the workers (FSDP2), as the rest of the training sees them."""

from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from pdm.config.common import TrainingConfig
from pdm.training.loop.activation_checkpointing import blocks_of

FORWARD_METHODS = ("posterior", "decode_raw")  # methods that training losses call besides `forward`


def shard_model(model: nn.Module, config: TrainingConfig) -> bool:
    """Shard the weights over the workers if the config asks for it and there are several workers.

    Each block gathers its weights before it runs, and frees them afterwards. The weights lose their
    channels_last layout, which FSDP2 does not support. All workers start from the weights of worker
    0.

    Returns:
        Whether they are sharded now: parameters are `DTensor`s.
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
    """Gather the full tensor. If it is sharded, every worker must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(pattern: Tensor, tensor: Tensor) -> Tensor:
    """Shard a full tensor like the pattern; each worker keeps its part of its own copy."""
    if not isinstance(pattern, DTensor):
        return tensor
    here = tensor.to(pattern.device)
    return distribute_tensor(here, pattern.device_mesh, pattern.placements, src_data_rank=None)
