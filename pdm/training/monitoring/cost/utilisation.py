"""FLOPs utilisation of a training: the operations of a pass, and the device's measured rate."""

import copy
import functools
import io
import itertools
import logging
import time
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pdm.training.loop.prefetch import Batch
from pdm.training.monitoring.cost.example_batches import num_images
from pdm.training.monitoring.cost.flops import flops_of

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

PASSES = 3  # a backward pass costs two forward passes: gradients of weights and of inputs
RATE_SIDE = {"cuda": 8192, "cpu": 768}  # side of the matrices whose product is timed


def flops_per_image(network: nn.Module, batch: Batch) -> float | None:
    """Count the floating-point operations of a forward and a backward pass, for each image.

    The pass runs on copies of network and batch that have shapes and no values (the meta device),
    so it needs neither memory nor the training's device.

    Args:
        network: Computes the losses, as in `pdm.training.loop.train.train`; neither wrapped nor
            sharded.
        batch: Its inputs, on the meta device; the first holds the images, (B, ...).

    Returns:
        None, with a warning in the log, if a part of the network cannot run on the meta device. A
        TorchScript file that names its device is such a part.
    """
    try:
        losses = copy_to_meta(network).train()
        return PASSES * flops_of(functools.partial(_losses, losses, batch)) / num_images(batch)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[-1]
        logger.warning("no flops_utilisation in the log: its count failed (%s)", reason)
        return None


def _losses(network: nn.Module, batch: Batch) -> None:
    with torch.enable_grad():  # the adaptive discriminator weight needs gradients
        network(*batch)


def copy_to_meta(network: Network) -> Network:
    """Copy a network without the values of its weights, on the meta device."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        if isinstance(module, torch.jit.ScriptModule):
            memo[id(module)] = _script_on_meta(module)
    for tensor in itertools.chain(network.parameters(), network.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        is_weight = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_weight else empty
    return copy.deepcopy(network, memo)


def _script_on_meta(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file, map_location="meta")  # type: ignore[no-any-return]


@functools.cache
def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of a large matrix product, best of five;
    once in a process.

    The matrices are random, since products of zeros are faster on some devices.
    """
    side = RATE_SIDE[device.type]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(_seconds_of_product(one, other) for _ in range(5))


def _seconds_of_product(one: Tensor, other: Tensor) -> float:
    product = one @ other
    if product.is_cuda:
        torch.cuda.synchronize(product.device)
    began = time.perf_counter()
    product = one @ other
    if product.is_cuda:
        torch.cuda.synchronize(product.device)
    return time.perf_counter() - began
