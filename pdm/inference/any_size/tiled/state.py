"""Keeps an unfinished enlargement on disk, so that a run that was killed goes on."""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pdm.diffusion.samplers import Point
from pdm.diffusion.tiles.sampling import TiledState
from pdm.files import atomic_file
from pdm.models.levels.pyramid import Pyramid
from pdm.tensor_file import write_tensors

logger = logging.getLogger(__name__)
FILE = "enlargement.safetensors"
PARTS = ("pyramid", "slope", "predicted")


def save_state(folder: Path, state: TiledState, key: str) -> None:
    """Write a state, atomically.

    Args:
        folder: To write to.
        state: Between two steps.
        key: Of everything that the enlargement depends on.
    """
    slope = state.point.slope
    # The sampler's slope is often the very prediction, which is then written once.
    is_predicted = slope is not None and slope is state.predicted
    parts = (state.point.pyramid, None if is_predicted else slope, state.predicted)
    tensors = {
        f"{name}_{index}": level
        for name, part in zip(PARTS, parts, strict=True)
        for index, level in enumerate(part or ())
    }
    facts = {"key": key, "number": state.point.number, "slope_is_predicted": is_predicted}
    with atomic_file(folder / FILE) as temporary:
        write_tensors(temporary, tensors, facts={"state": json.dumps(facts)})


def load_state(folder: Path, key: str, device: torch.device) -> TiledState | None:
    """Read a state; None if there is none, or it belongs to another enlargement."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("state", "{}"))
            if facts.get("key") != key:
                logger.info("%s belongs to another enlargement; starting over", path)
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        logger.warning("%s cannot be read (%s); starting over", path, error)
        return None
    found = {part: _levels(tensors, part, device) for part in PARTS}
    assert found["pyramid"] is not None
    slope = found["predicted"] if facts["slope_is_predicted"] else found["slope"]
    return TiledState(Point(found["pyramid"], facts["number"], slope), found["predicted"])


def _levels(tensors: dict[str, Tensor], part: str, device: torch.device) -> Pyramid | None:
    count = sum(name.startswith(f"{part}_") for name in tensors)
    return tuple(tensors[f"{part}_{index}"].to(device) for index in range(count)) or None
