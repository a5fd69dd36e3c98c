"""Draws images from a semantic map of any size."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pdm.config.task import SemanticTask
from pdm.data.annotations.maps import UNKNOWN, ClassMap, decode_map, names_of
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.latent_sampling import SamplingInputs
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.pictures.read import read_file
from pdm.inference.pictures.windows import round_up
from pdm.model_record import record_of
from pdm.tasks.find import how_trained, task_of_model
from pdm.tasks.semantic import map_condition


def read_map_for(path: Path, diffusion: Path) -> ClassMap:
    """Read a map for a model.

    Args:
        path: Of the map.
        diffusion: Folder of the model; only its record is read.

    Raises:
        BadInput: The model does not draw from maps, or `read_map` raises it.
    """
    record = record_of(diffusion)
    task = task_of_model(record, None)
    if not isinstance(task, SemanticTask):
        raise BadInput(
            f"the model was trained {how_trained(task)}, not to draw from maps; use one trained "
            "for semantic (`pyramid preset task-semantic`)"
        )
    return read_map(path, names_of(record))


def read_map(path: Path, names: Sequence[str]) -> ClassMap:
    """Read a map of indices of the model's classes, `UNKNOWN` where anything may be drawn.

    Raises:
        BadInput: It cannot be read, has colours, or has an index without a class.
    """
    try:
        return decode_map(read_file(path), names)
    except ValueError as error:
        listed = ", ".join(f"{index} {name}" for index, name in enumerate(names))
        raise BadInput(
            f"{path} cannot be used as a map: {error}. The model has the classes {listed}"
        ) from error


def paint(models: LoadedModels, class_map: ClassMap, seeds: Sequence[int]) -> Iterator[Pixels]:
    """Draw an image of the map's size for each seed.

    A map smaller than the images that the model learned from, or whose sides do not fit, is
    extended by what is unknown, and the image is cut.

    Yields:
        uint8 (H, W, 3) for each seed.
    """
    height, width = class_map.shape
    multiple, least = models.side_multiple, models.size
    size = round_up(max(height, least[0]), multiple), round_up(max(width, least[1]), multiple)
    margins = [(0, size[0] - height), (0, size[1] - width)]
    padded = np.pad(class_map, margins, constant_values=UNKNOWN)
    condition = GuidedCondition(map_condition([padded], len(models.map_names)))
    inputs = SamplingInputs(condition=condition)
    for seed in seeds:
        [drawn] = models.draw([seed], size, inputs)
        yield drawn[:height, :width]
