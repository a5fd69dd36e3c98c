"""What is timed of a denoising network: a train step, and sampling in Euler steps."""

from collections.abc import Callable

import torch
from torch import nn

from pdm.diffusion.flow import Velocity, flow_loss
from pdm.diffusion.samplers import euler
from pdm.diffusion.sampling_times import even_times
from pdm.models.levels.pyramid import Pyramid


def train_step(
    network: nn.Module, velocity: Velocity, data: Pyramid, *, bfloat16: bool = False
) -> Callable[[], None]:
    """Return a step of AdamW on random noise and times, forward and backward.

    Args:
        network: Its weights are trained.
        velocity: Calls the network.
        data: A batch.
        bfloat16: By autocast.
    """
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    noise, t = tuple(torch.randn_like(level) for level in data), torch.rand(len(data[0]))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, _ = flow_loss(velocity, data, noise, t, [1.0] * len(data))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def sampling(
    velocity: Velocity, noise: Pyramid, num_steps: int, *, bfloat16: bool = False
) -> Callable[[], Pyramid]:
    """Return a function that samples from noise."""

    @torch.no_grad()
    def draw() -> Pyramid:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return euler(velocity, noise, even_times(num_steps))

    return draw
