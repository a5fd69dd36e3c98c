"""Samples of the stage `sample` at the size that `sample.size` names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.config.sampling.tiling import TilingConfig
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import ClassTask, LayoutTask, TextTask, UnconditionalTask
from pdm.errors import BadInput
from pdm.files import check_sha256
from pdm.inference.any_size.enlarger_models import check_enlarger, digests_of, open_enlarger
from pdm.inference.any_size.large import LargeImage, write_drawing
from pdm.inference.pictures.draw import Drawing, drawings_of_seeds
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.prompts import Prompts
from pdm.tasks.find import task_of_model

KEY = "sample.enlarger"


def large_samples(config: SampleConfig, record: Mapping[str, Any]) -> LargeImage | None:
    """Return what `sample.size` asks for; None for the size of the training.

    Args:
        config: Section `sample` of the params.
        record: `config.json` of the diffusion model.

    Raises:
        BadInput: The model's task has the size of a held-out image.
    """
    if config.size is None:
        return None
    task = task_of_model(record, None)
    if not isinstance(task, UnconditionalTask | ClassTask | TextTask | LayoutTask):
        raise BadInput(
            f"sample.size is {list(config.size)}, but a model that was trained for {task.kind} "
            "draws at the size of held-out images; set sample.size to null"
        )
    width, height = config.size
    tiling = TilingConfig(mode=config.tiling)
    return LargeImage(size=(height, width), tiling=tiling, colour=config.colour)


def check_enlarger_of(config: SampleConfig) -> dict[str, str]:
    """Check the models that `sample.enlarger` names, and give their digests for the provenance of
    images.

    Raises:
        BadInput: They are others than those of the params, or cannot enlarge.
    """
    if config.enlarger is None:
        return {}
    folder = Path(config.enlarger.path)
    check_enlarger(folder, config, KEY)
    check_sha256(folder / "diffusion/model.safetensors", config.enlarger.sha256, KEY)
    return digests_of(folder, config)


def load_enlarger(large: LargeImage, config: SampleConfig) -> LargeImage:
    """Return the size with the models that `sample.enlarger` names, if any, loaded."""
    if config.enlarger is None:
        return large
    return dataclasses.replace(large, enlarger=open_enlarger(Path(config.enlarger.path), config))


def write_sample(
    large: LargeImage, models: LoadedModels, number: int, path: Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Draw one sample and write it.

    Args:
        large: Its size.
        models: The models.
        number: Of the sample.
        path: Of the PNG.
        facts: Of all samples, for its provenance.

    Returns:
        Its row of `samples.json`.
    """
    drawing = _drawing_of(models, number)
    origin = {"seed": drawing.seed} | drawing.origin
    digest = write_drawing(large, drawing, path, dict(facts) | origin)
    return {"file": path.name, "pixels_sha256": digest} | origin


def _drawing_of(models: LoadedModels, number: int) -> Drawing:
    conditioning, seed = models.networks.conditioning, models.config.seed + number
    if not isinstance(conditioning, Prompts):
        return next(drawings_of_seeds(models, [seed]))
    [group] = conditioning.groups([number])
    condition = conditioning.condition_of_numbers([number])
    config = dataclasses.replace(group.config, batch_size=models.config.batch_size)
    own = dataclasses.replace(models, config=config)
    origin = conditioning.origin(seed)
    return Drawing(own, conditioning.seed_of(number), models.size, condition, origin)
