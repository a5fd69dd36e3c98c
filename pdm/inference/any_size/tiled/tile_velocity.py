"""The velocity of the tiles of an enlargement, and the times at which it is evaluated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.config.task import (
    ClassTask,
    LayoutTask,
    SuperResolutionTask,
    TaskConfig,
    TextTask,
    UnconditionalTask,
)
from pdm.diffusion.few_steps import times_of_steps
from pdm.diffusion.flow import Velocity, interpolate
from pdm.diffusion.guidance import clamp_data, clamp_times
from pdm.diffusion.samplers import (
    Step,
    euler_step,
    heun_step,
    multistep_step,
    multistep_step_at,
    noise_from_seeds,
)
from pdm.diffusion.stochastic import ddim_step, fresh_noise, start_on_path
from pdm.diffusion.tiles.layout import Tile
from pdm.errors import BadInput
from pdm.inference.any_size.tiled.canvas import Canvas
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.latent_sampling import sampler_times
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.models.condition import Condition
from pdm.models.levels.pyramid import Pyramid
from pdm.tasks.partial_pictures.encoded import level_maps

ROUNDING = 1e-9  # of times
STEPS: dict[str, Step] = {
    "euler": euler_step,
    "heun": heun_step,
    "multistep": multistep_step,
}


def check_model(models: LoadedModels) -> None:
    """Raise BadInput if the model cannot draw the detail of an enlarged image."""
    check_task(models.task)
    if models.networks.stops is None:
        check_config(models.config)


def check_task(task: TaskConfig) -> None:
    """Raise BadInput if a model that was trained for a task cannot enlarge."""
    able = SuperResolutionTask | UnconditionalTask | ClassTask | TextTask | LayoutTask
    if not isinstance(task, able):
        raise BadInput(
            f"the model was trained for {task.kind}, which cannot enlarge an image; take one "
            "trained for super_resolution, an unconditional one, or one of classes, text or boxes"
        )


def check_config(config: SampleConfig) -> None:
    """Raise BadInput if the sampler of a flow cannot be used in tiles."""
    if config.sampler == "adaptive":
        raise BadInput(
            "sample.sampler is adaptive, which has no steps that all tiles could share; take "
            "euler, heun, multistep or ddim"
        )


@dataclass(frozen=True, slots=True)
class SamplingSchedule:
    """The steps from noise to data.

    Args:
        times: Stops of the drawn levels: (stops,), or (stops, drawn levels).
        step: Takes one step.
        all_levels: (rows, levels) where levels have their own times: every time of all levels at
            which the network is evaluated; None where all levels share one.
    """

    times: Tensor
    step: Step
    all_levels: Tensor | None = None

    @property
    def num_steps(self) -> int:
        """Steps to take."""
        return len(self.times) - 1

    def evaluations(self, number: int) -> int:
        """Count the evaluations of the velocity in a step."""
        return 2 if self.step is heun_step and number < self.num_steps - 1 else 1

    def times_of_all(self, t: Tensor, num_known: int) -> Tensor:
        """Return the times of all levels, from those of the drawn ones."""
        if self.all_levels is None:
            return t
        rows = self.all_levels.float().to(t.device)
        [row] = (rows[:, num_known:] == t[0]).all(1).nonzero()[0].tolist()
        return rows[row].expand(len(t), -1)


def plan_steps(canvas: Canvas, seed: int, strength: float, done: int) -> SamplingSchedule:
    """Plan the steps of an enlargement.

    Args:
        canvas: The image.
        seed: Of fresh noise, for `ddim`.
        strength: Where sampling begins: 1 at noise, less nearer to the enlarged image.
        done: Steps that an earlier run has taken.
    """
    models, config = canvas.models, canvas.models.config
    num_levels = len(models.autoencoder.level_channels)
    stops = models.networks.stops
    times = sampler_times(models.networks.network, config, num_levels) if stops is None else stops
    own = times.view(len(times), -1)[:, -len(canvas.shapes) :]
    # Steps before any drawn level moves are left out.
    passed = (own <= 1 - strength + ROUNDING).all(1).nonzero().flatten().tolist()
    times = times[max(passed, default=0) :]
    drawn = times[:, canvas.num_known :] if times.ndim == 2 else times
    evaluated = times if stops is None else times_of_steps(times)
    step = STEPS.get(config.sampler)
    if stops is not None:
        columns = evaluated[:, canvas.num_known :] if evaluated.ndim == 2 else evaluated
        step = partial(multistep_step_at, evaluated=columns)
    elif config.sampler == "ddim":
        fresh = fresh_noise([seed], canvas.shapes, models.device)
        for _ in range(done if config.eta else 0):
            fresh()
        step = partial(ddim_step, eta=config.eta, fresh=fresh)
    assert step is not None
    return SamplingSchedule(drawn, step, evaluated if times.ndim == 2 else None)


def start_of(
    canvas: Canvas,
    schedule: SamplingSchedule,
    seed: int,
    strength: float,
    encode: Callable[[], Pyramid],
) -> Pyramid:
    """Return the drawn maps at the first stop: noise, or a mix of noise and the enlarged image
    with less strength, or for a model that was trained to begin there."""
    device = canvas.models.device
    noise = tuple(level.to(device) for level in noise_from_seeds([seed], canvas.shapes))
    if strength < 1 or canvas.models.networks.network.begins_at_image:
        return interpolate(encode(), noise, schedule.times[:1].float().to(device))
    is_ddim = isinstance(schedule.step, partial) and schedule.step.func is ddim_step
    return start_on_path(noise, schedule.times) if is_ddim else noise


class TileDenoiser:
    """Predicts velocities of tiles by the denoiser; a `VelocityOfTiles`.

    Args:
        canvas: The image.
        schedule: The steps.
        encode: Gives the first `canvas.num_encoded` levels of the image's tiles.
        seed: Of the noise of known levels, which is the same in every tile.
        condition: What the image shows, with one row; None for what the model's classes or the
            task say.
        boxes: In place of it, if each tile shows something else.
    """

    def __init__(
        self,
        canvas: Canvas,
        schedule: SamplingSchedule,
        encode: Callable[[Sequence[Tile]], Pyramid],
        seed: int,
        condition: GuidedCondition | None = None,
        boxes: TileBoxes | None = None,
    ) -> None:
        self.canvas, self.schedule, self.encode, self.boxes = canvas, schedule, encode, boxes
        models = canvas.models
        shapes = models.autoencoder.level_shapes(*models.size)[: canvas.num_known]
        self.noise = tuple(level.to(models.device) for level in noise_from_seeds([seed], shapes))
        self.enlarges = isinstance(models.task, SuperResolutionTask)
        if condition is None and boxes is None and not self.enlarges:
            condition = models.networks.condition([seed])
        self.condition = condition or GuidedCondition()
        self.velocities: dict[int, Velocity] = {}  # by the number of tiles

    def __call__(self, pyramid: Pyramid, t: Tensor, tiles: Sequence[Tile]) -> Pyramid:
        """See `VelocityOfTiles`; the maps are those of the drawn levels."""
        count = self.canvas.num_known
        encoded = self.encode(tiles) if self.canvas.num_encoded else ()
        t = self.schedule.times_of_all(t, count)
        known_times = t[:, :count] if t.ndim == 2 else t
        noise = tuple(level.expand(len(tiles), -1, -1, -1) for level in self.noise)
        known = interpolate(encoded[:count], noise, known_times) if count else ()
        return self._velocity(encoded, tiles)((*known, *pyramid), t)[count:]

    def _velocity(self, encoded: Pyramid, tiles: Sequence[Tile]) -> Velocity:
        num_tiles = len(tiles)
        if self.enlarges:
            maps = Condition(levels=tuple(level_maps(encoded)))
            return self._make_velocity(GuidedCondition(maps))
        if self.boxes:
            of_tiles = self.boxes.condition([self.canvas.part(tile) for tile in tiles])
            return self._make_velocity(self.canvas.models.networks.to_device(of_tiles))
        if num_tiles not in self.velocities:  # kept, since making one reads the text
            self.velocities[num_tiles] = self._make_velocity(self._repeated(num_tiles))
        return self.velocities[num_tiles]

    def _repeated(self, num_tiles: int) -> GuidedCondition:
        device = self.canvas.models.device
        return self.condition.change(lambda one: one.to(device).expand(num_tiles, *one.shape[1:]))

    def _make_velocity(self, condition: GuidedCondition) -> Velocity:
        models, config = self.canvas.models, self.canvas.models.config
        velocity = models.networks.velocity(config, condition)
        if models.networks.stops is not None:
            return velocity
        return clamp_data(clamp_times(velocity, config.time_margin), config.clamp_latents)
