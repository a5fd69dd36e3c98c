"""Draw latents from seeds: noise, the guided and clamped velocity, and a sampler."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.few_steps import take_few_steps
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import clamp_data, clamp_times, observe
from pdm.diffusion.image_guide import ImageGuide
from pdm.diffusion.level_schedules import sampler_stops, stops_between_bends
from pdm.diffusion.mask_blending import keep_known_cells
from pdm.diffusion.samplers import Sampler, euler, heun, multistep, noise_from_seeds
from pdm.diffusion.sampling_times import even_times, shift_time
from pdm.diffusion.stochastic import ddim, fresh_noise
from pdm.errors import BadInput
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.prompts import Prompts
from pdm.inference.sampling_networks import Networks
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.models.unet import PyramidUNet

SAMPLERS: dict[str, Sampler] = {"euler": euler, "heun": heun, "multistep": multistep}


@dataclass(frozen=True, slots=True)
class KnownLatents:
    """Latents of pictures that are known in part, on the networks' device.

    Args:
        data: Levels (B, C, h, w).
        cells: True where a cell is known, (B, 1, h, w) for each level.
    """

    data: Pyramid
    cells: Pyramid

    def keep(self, velocity: Velocity, noise: Pyramid, rows: Sequence[int]) -> Velocity:
        """Move the known cells of some rows of the batch to their data."""
        parts = (
            tuple(level[list(rows)] for level in part) for part in (self.data, noise, self.cells)
        )
        return keep_known_cells(velocity, *parts)


@torch.no_grad()
def draw_latents(
    networks: Networks,
    config: SampleConfig,
    seeds: Sequence[int],
    shapes: Sequence[LevelShape],
    on_step: Callable[[Pyramid, Tensor], None] | None = None,
    condition: GuidedCondition | None = None,
    known: KnownLatents | None = None,
    noise: Pyramid | None = None,
    guide: ImageGuide | None = None,
) -> Pyramid:
    """Draw latents of one picture per seed, on the networks' device.

    Args:
        networks: The networks, and what the pictures of the seeds show.
        config: Section `sample` of the params.
        seeds: One for each picture.
        shapes: Of the levels.
        on_step: Gets the predicted data and the times of each evaluation
            (`pdm.diffusion.guidance`).
        condition: What the pictures show; None for what the seeds say.
        known: Latents that are known already, and where; None draws all.
        noise: What sampling starts from; None for that of the seeds.
        guide: Moves the predicted data towards a known picture; not with a network for few steps.

    Returns:
        Standardised latents, one (B, C, h, w) for each level, in the order of the seeds.

    Raises:
        BadInput: The sampler or its steps do not fit the levels' times (`sampler_times`).
    """
    device = next(networks.network.parameters()).device
    noise = tuple(level.to(device) for level in noise or noise_from_seeds(seeds, shapes))
    condition = networks.condition(seeds) if condition is None else networks.to_device(condition)

    def velocity_of(rows: Sequence[int]) -> Velocity:
        def choose(tensor: Tensor) -> Tensor:
            return tensor[list(rows)]

        velocity = networks.velocity(config, condition.change(choose))
        if networks.stops is None:
            velocity = clamp_times(velocity, config.time_margin)
            if guide is not None:
                velocity = guide.push(velocity, rows)
            velocity = clamp_data(velocity, config.clamp_latents)
        if known is not None:
            velocity = known.keep(velocity, noise, rows)
        return velocity if on_step is None else observe(velocity, on_step)

    velocity = velocity_of(range(len(seeds)))
    if networks.stops is not None:
        return take_few_steps(velocity, noise, networks.stops)
    times = sampler_times(networks.network, config, len(shapes))
    if config.sampler == "adaptive":
        same_for_all = condition.shown.is_empty and known is None and guide is None
        narrowed = None if same_for_all else velocity_of
        return runge_kutta(velocity, noise, times, tolerance=config.tolerance, narrowed=narrowed)
    if config.sampler == "ddim":
        fresh = fresh_noise(seeds, shapes, device)
        return ddim(velocity, noise, times, eta=config.eta, fresh=fresh)
    return SAMPLERS[config.sampler](velocity, noise, times)


def draw_numbers(
    networks: Networks,
    config: SampleConfig,
    numbers: Sequence[int],
    shapes: Sequence[LevelShape],
    on_step: Callable[[Pyramid, Tensor], None] | None = None,
) -> Iterator[tuple[Sequence[int], Pyramid]]:
    """Draw latents of pictures of the stage `sample`, by their numbers.

    Args:
        networks: See `draw_latents`, as for the others.
        config: Section `sample` of the params; a prompt may have another seed, scale and steps.
        numbers: Of the pictures.
        shapes: Of the levels.
        on_step: See `draw_latents`.

    Yields:
        The numbers of those that are drawn together, and their latents.
    """
    prompts = networks.conditioning
    if not isinstance(prompts, Prompts):
        seeds = [config.seed + number for number in numbers]
        yield numbers, draw_latents(networks, config, seeds, shapes, on_step)
        return
    for group in prompts.groups(numbers):
        seeds = [prompts.seed_of(number) for number in group.numbers]
        condition = prompts.condition_of_numbers(group.numbers)
        latents = draw_latents(networks, group.config, seeds, shapes, on_step, condition)
        yield group.numbers, latents


def sampler_times(network: Denoiser, config: SampleConfig, num_levels: int) -> Tensor:
    """Return the sampler's stops, (stops,) or (stops, levels).

    They are the network's own where it was trained at some times only, as LDM's and StableSR's.

    Raises:
        BadInput: The steps are too few for the levels' times, or ddim does not support them.
    """
    adaptive = config.sampler == "adaptive"
    if not isinstance(network, PyramidUNet):
        steps = 1 if adaptive else config.steps
        own = network.own_times(steps)
        return shift_time(even_times(steps), config.time_shift) if own is None else own
    schedule = network.config.schedule
    if adaptive:
        return stops_between_bends(config.steps, schedule, num_levels)
    if schedule is not None and config.sampler == "ddim":
        raise BadInput(
            "sample.sampler is ddim, which needs one time for all levels, but the model has "
            "windows or level_times; choose another sampler"
        )
    return sampler_stops(config.steps, config.time_shift, schedule, num_levels)
