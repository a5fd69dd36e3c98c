"""Draws what a prompt says."""

import dataclasses
import itertools
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pdm import weights
from pdm.config.prompts import Prompt
from pdm.config.sample import SampleConfig
from pdm.config.task import TextTask
from pdm.data import marks
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.pictures.studio import Studio
from pdm.inference.prompts import Prompts, check_guidance
from pdm.inference.subjects import side_multiple_of, size_of
from pdm.tasks.find import task_of_model

logger = logging.getLogger(__name__)

MAX_NAME = 60  # characters of a prompt in a file's name


def check_prompts(prompts: Sequence[Prompt], diffusion: Path, config: SampleConfig) -> None:
    """Raise BadInput if a model was trained without text, or a prompt fits neither it nor the
    guidance; warn of sizes that it was not trained at.

    Args:
        prompts: With their options.
        diffusion: Folder of the model; only its record is read.
        config: Section `sample` of the params.
    """
    record = weights.record_of(diffusion)
    task = task_of_model(record, None)
    if not isinstance(task, TextTask):
        raise BadInput(
            f"the model was trained for {task.kind}, without text, so it cannot follow a "
            "prompt; train one with `pyramid preset task-text`, or draw with `pyramid sample`"
        )
    trained, multiple = size_of(record), side_multiple_of(record)
    for prompt in prompts:
        _check_size(prompt, trained, multiple)
    check_guidance(prompts, config, "the prompt")


def size_of_prompt(prompt: Prompt, trained: tuple[int, int]) -> tuple[int, int]:
    """Give the (H, W) of a prompt's pictures: that of its options, or that of the training."""
    return prompt.height_px or trained[0], prompt.width_px or trained[1]


def draw(
    studio: Studio, prompt: Prompt, count: int
) -> Iterator[tuple[int, Pixels, dict[str, Any]]]:
    """Draw some pictures of a prompt.

    Args:
        studio: The models.
        prompt: With its options; `seed` and the following numbers are the pictures' seeds.
        count: Number of pictures.

    Yields:
        Seed, uint8 (H, W, 3), and what a mark says about the picture beside `studio.facts`.
    """
    subjects = studio.networks.subjects
    assert isinstance(subjects, Prompts)  # of `check_prompts`
    first = prompt.seed or 0
    config = dataclasses.replace(studio.config, seed=first)
    size = size_of_prompt(prompt, studio.size)
    plan = dataclasses.replace(subjects, prompts=(prompt,), config=config)
    for number in range(count):
        [group] = plan.groups([number])
        shown, negative = plan.conditions([number])
        [picture] = studio.draw(
            [first + number], size, shown, negative=negative, config=group.config
        )
        yield first + number, picture, plan.origin(first + number)


def choose_path(
    folder: Path, prompt: Prompt, seed: int, facts: dict[str, Any], taken: Sequence[Path]
) -> Path:
    """Name a picture's file by the words of its prompt and its seed, and by a number if another
    picture has that name: one of this call, or a file in the folder with another mark.

    Args:
        folder: Of the file.
        prompt: Of the picture.
        seed: Of the picture.
        facts: Its mark; a file with the same one is replaced by the same picture.
        taken: Files of this call.
    """
    words = re.sub(r"[^\w]+", "-", prompt.text.lower()).strip("-")[:MAX_NAME].rstrip("-")
    stem = f"{words or 'picture'}-{seed}"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    paths = (folder / f"{name}.png" for name in names)
    return next(path for path in paths if path not in taken and _is_free(path, facts))


def _check_size(prompt: Prompt, trained: tuple[int, int], multiple: int) -> None:
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
    if (height, width) != trained:
        logger.warning(
            "%r is drawn at %dx%d by a model that was trained at %dx%d: its layout may repeat "
            "itself or fall apart",
            *(prompt.text, width, height, trained[1], trained[0]),
        )


def _is_free(path: Path, facts: dict[str, Any]) -> bool:
    if not path.exists():
        return True
    try:
        found, _ = marks.read(path)
    except BadInput:
        return False
    return bool(found == json.loads(json.dumps(facts)))
