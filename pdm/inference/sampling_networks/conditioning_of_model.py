"""What images show where only the model and the config say it: classes, prompts, or nothing."""

from pathlib import Path

from pdm.config.sampling.prompts import Prompt, parse_prompts
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import LayoutTask, TextTask, UnconditionalTask
from pdm.counts import counted
from pdm.data.annotations.boxes import Layout
from pdm.data.annotations.classes import names_of
from pdm.errors import BadInput
from pdm.inference.conditioning import NO_CONDITIONING, Classes, Conditioning, choose_classes
from pdm.inference.layouts import Layouts, ShownLayout
from pdm.inference.prompts import Prompts, text_task
from pdm.model_record import record_of
from pdm.models.denoiser import Denoiser
from pdm.tasks.find import build_task, task_of_model
from pdm.tasks.layout import BoxLayout
from pdm.tasks.text import EMPTY


def conditioning_of_model(folder: Path, network: Denoiser, config: SampleConfig) -> Conditioning:
    """Return the conditioning that needs nothing but the model and the config.

    Args:
        folder: Of the diffusion model; a text model's has its vocabulary.
        network: Loaded from it, or distilled from it.
        config: Section `sample` of the params.

    Raises:
        BadInput: The model works on an image, or takes a condition of an unknown task.
    """
    record = record_of(folder)
    task = task_of_model(record, network.condition_sizes)
    found = build_task(task, record)
    if found.needs_pictures or found.needs_maps:
        raise BadInput(
            f"{folder} was trained for {task.kind} and works on an image; use the stage 'sample' "
            f"on held-out images, or the command for {task.kind} on yours"
        )
    if isinstance(task, TextTask):
        prompts = config.prompts if isinstance(config.prompts, tuple) else ()
        parsed = parse_prompts(prompts) or (Prompt(EMPTY),)
        return Prompts(parsed, text_task(folder, task), config)
    if isinstance(task, LayoutTask):
        reading = BoxLayout(task, record)
        return Layouts((ShownLayout(Layout(crop=reading.crop)),), reading, config.seed)
    sizes = network.condition_sizes
    if sizes is not None and isinstance(task, UnconditionalTask):
        raise BadInput(
            f"{folder} takes a condition ({sizes}), but does not say for which task; train it "
            "again with diffusion.task"
        )
    names = classes_of_model(folder, network)
    chosen = choose_classes(config.classes, names, folder)
    return Classes(chosen, names) if names else NO_CONDITIONING


def classes_of_model(folder: Path, network: Denoiser) -> tuple[str, ...]:
    """Return the names of the classes that a network takes, by label."""
    condition = network.condition_sizes
    if condition is None or not condition.num_classes:
        return ()
    names = names_of(record_of(folder))
    if len(names) != condition.num_classes:
        takes = counted(condition.num_classes, "class", "classes")
        raise BadInput(f"{folder} takes {takes} but names {len(names)}")
    return names
