"""How much of what a device can do a training makes use of: what it computes, what is possible."""

import time

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from pdm.training.loop.prefetch import Batch
from pdm.training.monitoring.flops import flops_of

PASSES = 3  # the way back computes twice what the way forward does: for weights, and for inputs
RATE_SIDE = {"cuda": 8192, "cpu": 768}  # of the matrices that are multiplied to find the rate


def flops_of_pass(network: nn.Module, batch: Batch) -> int:
    """Floating-point operations of one pass forward and back.

    Counted in a pass of its own, in evaluation mode, that leaves no trace: what counts takes some
    functions apart, and they then round otherwise than in training.

    Args:
        network: As in `pdm.training.loop.train.train`.
        batch: On the network's device. Where weights are spread, every worker must bring one.
    """
    inner = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    modes = [(module, module.training) for module in inner.modules()]
    # A discriminator's weight is a gradient; spread weights must not wait for a way back.
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
    """Floating-point operations per second of a large product of random matrices, the best of five.

    Random, since products of zeros are faster on some devices, and no training is made of them.
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
