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
    """Latents of images that are known in part, on the networks' device.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingInputs:
    """What sampling is given besides the seeds, or in place of what they say.

    Args:
        condition: With one row for each image; None for what the seeds say.
        noise: What sampling starts from; None for that of the seeds.
        known: Latents that are known already, and where; None draws all.
        guide: Moves the predicted data towards a known image; not with a network for few steps.
    """

    condition: GuidedCondition | None = None
    noise: Pyramid | None = None
    known: KnownLatents | None = None
    guide: ImageGuide | None = None


SEEDS_ONLY = SamplingInputs()


@torch.no_grad()
def draw_latents(
    networks: Networks,
    config: SampleConfig,
    seeds: Sequence[int],
    shapes: Sequence[LevelShape],
    inputs: SamplingInputs = SEEDS_ONLY,
    on_step: Callable[[Pyramid, Tensor], None] | None = None,
) -> Pyramid:
    """Draw latents of one image per seed, on the networks' device.

    Args:
        networks: The networks, and what the images of the seeds show.
        config: Section `sample` of the params.
        seeds: One for each image.
        shapes: Of the levels.
        inputs: What does not follow from the seeds.
        on_step: Gets the predicted data and the times of each evaluation
            (`pdm.diffusion.guidance`).

    Returns:
        Standardised latents, one (B, C, h, w) for each level, in the order of the seeds.

    Raises:
        BadInput: The sampler or its steps do not fit the levels' times (`sampler_times`).
    """
    device = next(networks.network.parameters()).device
    drawn = inputs.noise or noise_from_seeds(seeds, shapes)
    noise = tuple(level.to(device) for level in drawn)
    given = inputs.condition
    condition = networks.condition(seeds) if given is None else networks.to_device(given)

    def velocity_of(rows: Sequence[int]) -> Velocity:
        own = condition.change(lambda tensor: tensor[list(rows)])
        velocity = networks.velocity(config, own)
        if networks.stops is None:
            velocity = clamp_times(velocity, config.time_margin)
            if inputs.guide is not None:
                velocity = inputs.guide.push(velocity, rows)
            velocity = clamp_data(velocity, config.clamp_latents)
        if inputs.known is not None:
            velocity = inputs.known.keep(velocity, noise, rows)
        return velocity if on_step is None else observe(velocity, on_step)

    velocity = velocity_of(range(len(seeds)))
    if networks.stops is not None:
        return take_few_steps(velocity, noise, networks.stops)
    times = sampler_times(networks.network, config, len(shapes))
    if config.sampler == "adaptive":
        same_for_all = condition.shown.is_empty and inputs.known is None and inputs.guide is None
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
    """Draw latents of images of the stage `sample`, by their numbers.

    Args:
        networks: See `draw_latents`, as for the others.
        config: Section `sample` of the params; a prompt may have another seed, scale and steps.
        numbers: Of the images.
        shapes: Of the levels.
        on_step: See `draw_latents`.

    Yields:
        The numbers of those that are drawn together, and their latents.
    """
    prompts = networks.conditioning
    if not isinstance(prompts, Prompts):
        seeds = [config.seed + number for number in numbers]
        yield numbers, draw_latents(networks, config, seeds, shapes, on_step=on_step)
        return
    for group in prompts.groups(numbers):
        seeds = [prompts.seed_of(number) for number in group.numbers]
        inputs = SamplingInputs(condition=prompts.condition_of_numbers(group.numbers))
        yield group.numbers, draw_latents(networks, group.config, seeds, shapes, inputs, on_step)


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
