"""FLOPs utilisation of a training: the operations of a pass, and the device's measured rate."""

import time

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from pdm.training.loop.prefetch import Batch
from pdm.training.monitoring.flops import flops_of

PASSES = 3  # a backward pass costs two forward passes: gradients of weights and of inputs
RATE_SIDE = {"cuda": 8192, "cpu": 768}  # side of the matrices whose product is timed


def flops_of_pass(network: nn.Module, batch: Batch) -> int:
    """Count the floating-point operations of one forward and backward pass.

    The count runs an extra forward pass in evaluation mode, which changes nothing in the training.

    Args:
        network: As in `pdm.training.loop.train.train`.
        batch: On the network's device. With sharded weights (FSDP), every worker must bring one.
    """
    inner = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    modes = [(module, module.training) for module in inner.modules()]
    # The adaptive discriminator weight needs gradients; FSDP must not wait for a backward pass.
    with_gradients = not any(isinstance(module, FSDPModule) for module, _ in modes)
    inner.eval()

    def forward() -> None:
        with torch.set_grad_enabled(with_gradients):
            inner.forward(*batch)

    found = flops_of(forward)
    for module, training in modes:
        module.training = training
    return PASSES * found


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of a large matrix product, best of five.

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
