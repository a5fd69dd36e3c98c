"""Draws images from prompts, boxes or classes, or without a condition."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import ClassTask, LayoutTask, TextTask, UnconditionalTask
from pdm.data.annotations.boxes import Layout
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.image_sizes import sizes_of
from pdm.inference.latent_sampling import SamplingInputs
from pdm.inference.layouts import Layouts, ShownLayout, read_layout_file
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.prompts import Prompts, check_guidance
from pdm.inference.sample_settings import settings_of
from pdm.inference.trained_size import side_multiple_of, size_of
from pdm.model_record import record_of
from pdm.tasks.find import how_trained, task_of_model
from pdm.tasks.layout import BoxLayout
from pdm.versions import versions

logger = logging.getLogger(__name__)


def check_prompts(prompts: Sequence[Prompt], diffusion: Path, config: SampleConfig) -> None:
    """Raise BadInput if a model was trained without text, or a prompt fits neither it nor the
    guidance; warn of sizes that it was not trained at.

    Args:
        prompts: With their options.
        diffusion: Folder of the model; only its record is read.
        config: Section `sample` of the params.
    """
    record = record_of(diffusion)
    task = task_of_model(record, None)
    if not isinstance(task, TextTask):
        raise BadInput(
            f"the model was trained {how_trained(task)}, so it cannot follow a prompt; leave the "
            "prompt out, or train a model of text with `pyramid preset task-text`"
        )
    trained, multiple = size_of(record), side_multiple_of(record)
    sizes = [one.size for one in sizes_of(record) if one.is_trained]
    for prompt in prompts:
        _check_size(prompt, trained, sizes, multiple)
    check_guidance(prompts, config, "the prompt")


def size_of_prompt(prompt: Prompt, trained: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) of a prompt's images: that of its options, or that of the training."""
    return prompt.height_px or trained[0], prompt.width_px or trained[1]


def check_draws_alone(diffusion: Path) -> None:
    """Raise BadInput if a model needs a prompt, boxes, an image or a map to draw from.

    Args:
        diffusion: Folder of the model; only its record is read.
    """
    task = task_of_model(record_of(diffusion), None)
    if isinstance(task, TextTask):
        raise BadInput(
            'give a prompt, such as "a red sunset over a lake", or a file with --prompts'
        )
    if isinstance(task, LayoutTask):
        raise BadInput("give a file of boxes with --boxes; docs/tasks.md shows one")
    if not isinstance(task, UnconditionalTask | ClassTask):
        raise BadInput(
            f"the model was trained for {task.kind}, so it cannot draw without an image; use an "
            "unconditional model, or one trained with classes or text"
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """An image to draw.

    Args:
        models: The models, with the steps and guidance of the image.
        seed: Of the noise.
        size: (H, W), multiples of the models' `side_multiple`.
        condition: What the image shows, with one row.
        origin: What its provenance says about the image beside `models.facts`.
        layout: What stands where; `condition` follows from it. None without boxes.
    """

    models: LoadedModels
    seed: int
    size: tuple[int, int]
    condition: GuidedCondition
    origin: dict[str, Any]
    layout: Layout | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For the image's provenance: everything that it depends on at the model's own size."""
        facts = self.models.facts | settings_of(self.models.config) | {"seed": self.seed}
        facts["sample_version"] = versions()["sample"]
        if self.size != self.models.size:
            facts["height_px"], facts["width_px"] = self.size
        return facts | self.origin

    def at_size(self, size: tuple[int, int]) -> "Drawing":
        """The same at another (H, W) that the model was trained at, even where it is tiled."""
        return dataclasses.replace(
            self, models=dataclasses.replace(self.models, size=size), size=size
        )

    def draw(self) -> Pixels:
        """Draw it, uint8 (H, W, 3)."""
        inputs = SamplingInputs(condition=self.condition)
        [image] = self.models.draw([self.seed], self.size, inputs)
        return image


def draw(
    models: LoadedModels, prompt: Prompt, count: int
) -> Iterator[tuple[int, Pixels, dict[str, Any]]]:
    """Draw some images of a prompt; arguments as for `drawings_of_prompt`.

    Yields:
        Seed, uint8 (H, W, 3), and what its provenance says about the image beside `models.facts`.
    """
    for drawing in drawings_of_prompt(models, prompt, count):
        yield drawing.seed, drawing.draw(), drawing.origin


def drawings_of_prompt(models: LoadedModels, prompt: Prompt, count: int) -> Iterator[Drawing]:
    """Yield some drawings of a prompt.

    Args:
        models: The models.
        prompt: With its options; `seed` and the following numbers are the images' seeds.
        count: Number of images.
    """
    conditioning = models.networks.conditioning
    assert isinstance(conditioning, Prompts)  # of `check_prompts`
    first = prompt.seed or 0
    config = dataclasses.replace(models.config, seed=first)
    plan = dataclasses.replace(conditioning, prompts=(prompt,), config=config)
    for number in range(count):
        [group] = plan.groups([number])
        condition = plan.condition_of_numbers([number])
        own = dataclasses.replace(models, config=group.config)
        origin = plan.origin(first + number)
        size = size_of_prompt(prompt, models.size)
        yield Drawing(own, first + number, size, condition, origin)


def drawings_of_seeds(models: LoadedModels, seeds: Sequence[int]) -> Iterator[Drawing]:
    """Yield the drawings that a model makes without a prompt: of its classes or layouts in turn,
    if any."""
    networks = models.networks
    conditioning = networks.conditioning
    for seed in seeds:
        condition, origin = networks.condition([seed]), conditioning.origin(seed)
        layout = conditioning.shown_by(seed).layout if isinstance(conditioning, Layouts) else None
        yield Drawing(models, seed, models.size, condition, origin, layout)


def read_boxes(
    path: Path, diffusion: Path, size: tuple[int, int] | None = None
) -> tuple[Layout, ...]:
    """Read the layouts of a file for a model.

    Args:
        path: Of the file; see `pdm.inference.layouts`.
        diffusion: Folder of the model; only its record is read.
        size: Width and height of the images, for boxes in pixels; None if none is named.

    Raises:
        BadInput: The model was trained without boxes, or a layout does not fit it.
    """
    record = record_of(diffusion)
    task = task_of_model(record, None)
    if not isinstance(task, LayoutTask):
        raise BadInput(
            f"the model was trained {how_trained(task)}, so it cannot use boxes; leave --boxes "
            "out, or train a model of layouts with `pyramid preset task-layout`"
        )
    return read_layout_file(path, BoxLayout(task, record), "--boxes", size)


def drawings_of_layout(
    models: LoadedModels, layout: Layout, seeds: Sequence[int]
) -> Iterator[Drawing]:
    """Yield drawings of a layout, one for each seed."""
    conditioning = models.networks.conditioning
    assert isinstance(conditioning, Layouts)  # of `read_boxes`
    for seed in seeds:
        plan = Layouts((ShownLayout(layout),), conditioning.task, seed)
        condition, origin = plan.condition([seed]), plan.origin(seed)
        yield Drawing(models, seed, models.size, condition, origin, layout)


def _check_size(
    prompt: Prompt, trained: tuple[int, int], sizes: Sequence[tuple[int, int]], multiple: int
) -> None:
    """Raise BadInput for sides that the networks cannot halve often enough; warn of all others
    that the model was not trained at."""
    height, width = size_of_prompt(prompt, trained)
    for option, side in (("--w", width), ("--h", height)):
        if side % multiple:
            lower = side // multiple * multiple
            near = f"{lower} or {lower + multiple}" if lower else f"{multiple}"
            raise BadInput(
                f"{prompt.text!r} has {option} {side}, but sides must be multiples of {multiple} "
                f"for this model; take {near}"
            )
    if (height, width) not in sizes:
        logger.warning(
            "%r is drawn at %dx%d by a model that was trained at %s: its layout may repeat "
            "itself or fall apart",
            *(prompt.text, width, height),
            ", ".join(f"{across}x{down}" for down, across in sizes),
        )
