"""Weights sharded over the workers (FSDP2), as the rest of the training sees them."""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import parametrize

from pdm.config.training.loop import TrainingConfig
from pdm.training.loop.activation_checkpointing import blocks_of

# Methods that training losses call besides `forward`.
FORWARD_METHODS = ("posterior", "decode_raw", "decode_region")


def is_to_shard(config: TrainingConfig) -> bool:
    """Whether the config asks for sharded weights, and there is a group to shard them over."""
    return config.strategy == "fsdp" and distributed.is_initialized()


def shard_model(model: nn.Module, config: TrainingConfig) -> bool:
    """Shard the weights over the workers if the config asks for it and there are several workers.

    Each block gathers its weights before it runs, and frees them afterwards. With `precision`
    bfloat16, blocks gather them in bfloat16, which halves traffic and memory; shards, gradients and
    moments stay float32. Blocks whose weights are computed from others gather float32: a spectral
    norm needs it, and the small product of an adapter (LoRA) would be lost in a sum of bfloat16.
    The weights lose their channels_last layout, which FSDP2 does not support. Frozen weights are
    sharded like the others. All workers start from the weights of worker 0.

    Returns:
        Whether they are sharded now: parameters are `DTensor`s.
    """
    if not is_to_shard(config):
        return False
    weight = next(model.parameters())
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.contiguous()
        distributed.broadcast(tensor.data, src=0)
    mesh = init_device_mesh(weight.device.type, (distributed.get_world_size(),))
    reduced = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in blocks_of(model):
        if config.precision == "bfloat16" and not _computes_weights(block):
            fully_shard(block, mesh=mesh, mp_policy=reduced)
        else:
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for name in FORWARD_METHODS:
        if hasattr(model, name):
            register_fsdp_forward_method(model, name)
    return True


def _computes_weights(block: nn.Module) -> bool:
    return any(parametrize.is_parametrized(module) for module in block.modules())


def full_tensor(tensor: Tensor) -> Tensor:
    """Gather the full tensor. If it is sharded, every worker must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_tensor(tensor: Tensor) -> Tensor:
    """Return this worker's part of a sharded tensor, sharing its memory; any other as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def shard_like(pattern: Tensor, tensor: Tensor) -> Tensor:
    """Shard a full tensor like the pattern; each worker keeps its part of its own copy."""
    if not isinstance(pattern, DTensor):
        return tensor
    here = tensor.to(pattern.device)
    return distribute_tensor(here, pattern.device_mesh, pattern.placements, src_data_rank=None)
