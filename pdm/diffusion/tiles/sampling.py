"""Sampling of a large image step by step, from a state that can be saved between two steps.

A sampling that goes on from a saved state ends with the same bits as an unbroken one: the tiles of
a step follow from its number, and everything else that a step needs is in the state.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from pdm.diffusion.samplers import Point, Step
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.models.levels.pyramid import Pyramid


@dataclass(frozen=True, slots=True)
class TiledState:
    """Where sampling stands between two steps.

    Args:
        point: Of the sampler.
        predicted: What was predicted last; uncovered strips of the next step take it.
    """

    point: Point
    predicted: Pyramid | None = None


def sample_in_tiles(
    step: Step, velocity: TiledVelocity, start: TiledState, times: Tensor
) -> Iterator[TiledState]:
    """Take the steps that are left, and yield the state after each.

    Args:
        step: Of the sampler, such as `euler_step`.
        velocity: Of the whole image.
        start: From noise, `TiledState(Point(noise))`, or a saved state.
        times: Stops, as for samplers; all of them, wherever the sampling goes on.
    """
    state, velocity.predicted = start, start.predicted
    del start  # maps of large images, of no use after the first step
    while state.point.number < len(times) - 1:
        velocity.step = state.point.number
        state = TiledState(step(velocity, state.point, times), velocity.predicted)
        yield state
