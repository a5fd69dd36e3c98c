"""Draws what a prompt says."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from pdm.config.prompts import Prompt
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.pictures.studio import Studio
from pdm.inference.prompts import Prompts, check_size

MAX_NAME = 60  # characters of a prompt in a file's name


def check_model(studio: Studio) -> Prompts:
    """Give the model's reading of prompts, or raise BadInput if it was trained without text."""
    prompts = studio.networks.subjects
    if not isinstance(prompts, Prompts):
        raise BadInput(
            f"the model was trained for {studio.task.kind}, without text, so it cannot follow a "
            "prompt; train one with `pyramid preset task-text`, or draw with `pyramid sample`"
        )
    return prompts


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
    check_size(prompt, (studio.size[1], studio.size[0]), "the prompt")
    first = prompt.seed or 0
    config = dataclasses.replace(studio.config, seed=first)
    plan = dataclasses.replace(check_model(studio), prompts=(prompt,), config=config)
    for number in range(count):
        [group] = plan.groups([number])
        shown, negative = plan.conditions([number])
        [picture] = studio.draw(
            [first + number], studio.size, shown, negative=negative, config=group.config
        )
        yield first + number, picture, plan.origin(first + number)


def name_of(prompt: Prompt, seed: int) -> str:
    """Give a file name from the words of a prompt and the seed."""
    words = re.sub(r"[^\w]+", "-", prompt.text.lower()).strip("-")[:MAX_NAME].rstrip("-")
    return f"{words or 'picture'}-{seed}.png"
