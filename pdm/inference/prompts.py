"""The prompts of the stage `sample`, and of `pyramid draw`: which image shows which, and how.

Images take turns with the prompts. Image i has the seed `sample.seed + i`, or, if its prompt
names a seed, that seed and the number of images of this prompt before it.
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.config.file import FileConfig
from pdm.config.sampling.prompts import Prompt, parse_prompts
from pdm.config.stages.sample import GuideConfig, SampleConfig
from pdm.config.task import TextTask
from pdm.data.annotations.captions import captions_of
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput, why
from pdm.files import check_sha256
from pdm.inference.conditioning import GuidedCondition
from pdm.model_record import record_of
from pdm.tasks.find import build_task, task_of_model
from pdm.tasks.text import EMPTY, Text, TextFiles

logger = logging.getLogger(__name__)

KEY, NEGATIVE_KEY = "sample.prompts", "sample.negative_prompt"


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures of a batch that are drawn together: with the same steps and guidance.

    Args:
        config: With their steps and guidance scale.
        numbers: Of the images.
    """

    config: SampleConfig
    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Prompts:
    """See `pdm.inference.conditioning.Conditioning`; a seed there is `sample.seed` plus the
    number of the image.

    Args:
        prompts: In turn.
        task: Makes tokens of them.
        config: Section `sample` of the params.
    """

    prompts: tuple[Prompt, ...]
    task: Text
    config: SampleConfig

    def prompt_of(self, number: int) -> Prompt:
        """Return the prompt of an image."""
        return self.prompts[number % len(self.prompts)]

    def seed_of(self, number: int) -> int:
        """Return the seed of an image's noise."""
        seed = self.prompt_of(number).seed
        return self.config.seed + number if seed is None else seed + number // len(self.prompts)

    def groups(self, numbers: Sequence[int]) -> Iterator[Group]:
        """Split a batch into groups that are drawn together."""
        found: dict[tuple[int, float], Group] = {}
        for number in numbers:
            config = settings_of_prompt(self.prompt_of(number), self.config)
            key = config.steps, config.guidance_scale
            found.setdefault(key, Group(config, [])).numbers.append(number)
        yield from found.values()

    def condition_of_numbers(self, numbers: Sequence[int]) -> GuidedCondition:
        """Return the prompts of images, and their negative prompts, or the empty text."""
        prompts = [self.prompt_of(number) for number in numbers]
        negatives = [_negative_of(prompt, self.config) for prompt in prompts]
        shown = self.task.condition_of_texts([prompt.text for prompt in prompts])
        return GuidedCondition(shown, self.task.condition_of_texts(negatives))

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return the same by `sample.seed` plus the numbers."""
        return self.condition_of_numbers([seed - self.config.seed for seed in seeds])

    def origin(self, seed: int) -> dict[str, Any]:
        """Return prompt, negative prompt and all options that differ from the section `sample`."""
        number = seed - self.config.seed
        prompt = self.prompt_of(number)
        own = settings_of_prompt(prompt, self.config)
        facts: dict[str, Any] = {"prompt": prompt.text}
        if own.guidance_scale != 1 and (negative := _negative_of(prompt, self.config)):
            facts["negative_prompt"] = negative
        for name in ("steps", "guidance_scale"):
            if getattr(own, name) != getattr(self.config, name):
                facts[name] = getattr(own, name)
        return facts

    def finish(self, seed: int, drawn: Pixels) -> Pixels:
        """The image as it was drawn."""
        return drawn


def settings_of_prompt(prompt: Prompt, config: SampleConfig) -> SampleConfig:
    """Return the section `sample` with the steps and the guidance scale of a prompt."""
    if prompt.steps is not None:
        config = dataclasses.replace(config, steps=prompt.steps)
    return with_guidance(config, prompt.guidance_scale)


def with_guidance(config: SampleConfig, scale: float | None) -> SampleConfig:
    """Return the section `sample` with another guidance scale; with its own if `scale` is None."""
    if scale is None:
        return config
    guide = config.guide or GuideConfig(kind="unconditional")
    return dataclasses.replace(config, guidance_scale=scale, guide=guide)


def read_prompts(config: SampleConfig, diffusion: Path, shards: Path) -> tuple[Prompt, ...]:
    """Read the prompts of the section `sample`; without any, the captions of held-out images.

    Args:
        config: Section `sample` of the params.
        diffusion: Folder of the diffusion model.
        shards: Of the data.

    Returns:
        The prompts, in the order in which images take turns; () for a model without text.

    Raises:
        BadInput: There are prompts for a model without text, their file cannot be read, or one does
            not fit the model or the guidance; or no held-out image has a caption.
    """
    record = record_of(diffusion)
    if not isinstance(task_of_model(record, None), TextTask):
        for key, value in ((KEY, config.prompts), (NEGATIVE_KEY, config.negative_prompt)):
            if value:
                raise BadInput(f"{key}: {diffusion} was not trained with text; set it to null")
        return ()
    prompts = _captions(shards) if config.prompts is None else _parse(config.prompts)
    check_guidance(prompts, config, KEY)
    size = record["image_width_px"], record["image_height_px"]
    for prompt in prompts:
        check_size(prompt, size, KEY)
    return prompts


def check_guidance(prompts: Sequence[Prompt], config: SampleConfig, key: str) -> None:
    """Raise BadInput if a prompt has a negative prompt that its guidance would ignore.

    A negative prompt of the section is left out of prompts that switch guidance off themselves.
    """
    for prompt in prompts:
        negative, own = _negative_of(prompt, config), settings_of_prompt(prompt, config)
        of_section = prompt.negative is None
        if not negative or (of_section and prompt.guidance_scale == 1):
            continue
        where = NEGATIVE_KEY if of_section else f"{key}: {prompt.text!r}"
        if own.guidance_scale == 1:
            raise BadInput(
                f"{where} has the negative prompt {negative!r}, but the guidance scale is 1, which "
                "means no guidance; choose another scale, or leave the negative prompt out"
            )
        if own.guide is not None and own.guide.kind != "unconditional":
            raise BadInput(
                f"{where} has the negative prompt {negative!r}, but a guide of kind "
                f"{own.guide.kind} ignores it; set sample.guide to {{kind: unconditional}}, or "
                "leave the negative prompt out"
            )


def check_size(prompt: Prompt, size: tuple[int, int], key: str) -> None:
    """Raise BadInput if a prompt asks for another (width, height) than that of all samples."""
    asked = prompt.width_px or size[0], prompt.height_px or size[1]
    if asked != size:
        raise BadInput(
            f"{key}: {prompt.text!r} asks for {asked[0]}x{asked[1]} pixels, but samples are scored "
            f"at the model's {size[0]}x{size[1]}; leave out --w and --h, or use `pyramid draw`"
        )


def text_task(diffusion: Path, task: TextTask) -> Text:
    """Return the task of a trained model, which reads its vocabulary or its frozen encoder."""
    found = build_task(task, {}, TextFiles(diffusion))
    assert isinstance(found, Text)
    return found


def config_for_loading(config: SampleConfig, prompts: Sequence[Prompt]) -> SampleConfig:
    """Return the settings to load networks with: with a guide, if any prompt needs one."""
    if config.guidance_scale != 1 or all(one.guidance_scale in (None, 1) for one in prompts):
        return config
    guide = config.guide or GuideConfig(kind="unconditional")
    scale = next(one.guidance_scale for one in prompts if one.guidance_scale not in (None, 1))
    assert scale is not None
    return dataclasses.replace(config, guidance_scale=scale, guide=guide)


def read_prompt_file(path: Path, key: str) -> tuple[Prompt, ...]:
    """Read a file with one prompt per line.

    Args:
        path: Of the file.
        key: What names it, for errors.

    Raises:
        BadInput: It cannot be read, has no prompts, or one does not fit.
    """
    try:
        found = parse_prompts(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{key}: {path} cannot be read ({why(error)}); "
            "name a text file in UTF-8 with one prompt per line"
        ) from error
    except ValueError as error:
        raise BadInput(f"{key}: {path}: {error}") from error
    if not found:
        raise BadInput(f"{key}: {path} has no prompts; write one per line")
    return found


def _negative_of(prompt: Prompt, config: SampleConfig) -> str:
    return (config.negative_prompt or EMPTY) if prompt.negative is None else prompt.negative


def _parse(prompts: tuple[str, ...] | FileConfig) -> tuple[Prompt, ...]:
    if not isinstance(prompts, FileConfig):
        return parse_prompts(prompts)
    path = Path(prompts.path)
    check_sha256(path, prompts.sha256, KEY)
    return read_prompt_file(path, KEY)


def _captions(shards: Path) -> tuple[Prompt, ...]:
    """The first caption of each held-out image that has one."""
    images = ImageShards(shards, "val")
    captions = [captions_of(images.record(index)) for index in range(len(images))]
    found = tuple(Prompt(each[0]) for each in captions if each)
    if not found:
        raise BadInput(f"{KEY} is null, but no held-out image has a caption; name prompts")
    return found
