"""The networks of sampling: the diffusion model with the EMA asked for, and the guide
of classifier-free guidance (CFG) or autoguidance, if any."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdm import ema, weights
from pdm.config.prompts import Prompt, parse_prompts
from pdm.config.sample import GuideConfig, SampleConfig
from pdm.config.task import TextTask, UnconditionalTask
from pdm.data.classes import names_of
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import apply_guidance, in_one_batch
from pdm.errors import BadInput
from pdm.files import check_sha256, sha256_of
from pdm.inference.precision import in_precision
from pdm.inference.prompts import Prompts, text_task
from pdm.inference.subjects import NO_SUBJECTS, Classes, Subjects, choose_classes
from pdm.models.condition import (
    NO_CONDITION,
    Condition,
    concatenate,
    drop_condition,
    with_condition,
)
from pdm.models.denoiser import Denoiser
from pdm.models.spectral_norm import bake_spectral_norms, settle_spectral_norms
from pdm.registry import load_denoiser
from pdm.tasks.find import find_task, task_of_model
from pdm.tasks.text import EMPTY

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks to sample from, in evaluation mode, on one device."""

    network: Denoiser
    guide: Denoiser | None = None  # None without guidance
    # Whether the guide gets the picture's condition; otherwise one that takes any gets the empty.
    guide_gets_condition: bool = False
    subjects: Subjects = NO_SUBJECTS  # what the pictures of the seeds show
    stops: Tensor | None = None  # of a network that was tuned for few steps; None for a flow

    def condition(self, seeds: Sequence[int]) -> Condition:
        """Give the condition of these seeds' pictures, on the networks' device."""
        return self.to_device(self.subjects.condition(seeds))

    def to_device(self, condition: Condition) -> Condition:
        """Move a condition to the networks' device."""
        device = next(self.network.parameters()).device
        return condition.change(lambda tensor: tensor.to(device))

    def negative(self, seeds: Sequence[int]) -> Condition | None:
        """Give what guidance steers these seeds' pictures away from; None for no condition."""
        negative = self.subjects.negative(seeds)
        return None if negative is None else self.to_device(negative)

    def velocity(
        self, config: SampleConfig, condition: Condition, negative: Condition | None = None
    ) -> Velocity:
        """Make the velocity of pictures of a condition, with guidance as the config says.

        Args:
            config: Section `sample` of the params.
            condition: What the pictures show.
            negative: What a guide without their condition gets; None for the empty condition.
        """
        shown = self.network.encode_text(condition)
        velocity = in_precision(with_condition(self.network, shown), config)
        if self.guide is None or config.guidance_scale == 1:
            return velocity
        of_guide = self.guide.encode_text(self._condition_of_guide(condition, negative))
        guide, both = in_precision(with_condition(self.guide, of_guide), config), None
        if self.guide is self.network and not condition.is_empty:
            twice = with_condition(self.network, concatenate(shown, of_guide))
            both = in_one_batch(in_precision(twice, config))
        scale, interval = config.guidance_scale, config.guidance_interval
        return apply_guidance(velocity, guide, scale, interval, both)

    def _condition_of_guide(self, condition: Condition, negative: Condition | None) -> Condition:
        assert self.guide is not None
        sizes = self.guide.condition_sizes
        if sizes is None:
            return NO_CONDITION
        if self.guide_gets_condition:
            return condition
        return drop_condition(sizes, condition) if negative is None else negative


def load_networks(
    diffusion: Path,
    config: SampleConfig,
    device: torch.device,
    subjects: Subjects | None = None,
) -> Networks:
    """Load the networks that the section `sample` asks for.

    With as many steps as a network in the folder was tuned for, it is that network; see
    `takes_few_steps`.

    Args:
        diffusion: Folder of the diffusion model.
        config: Section `sample` of the params.
        device: Device of the networks.
        subjects: What the pictures show; needed only where it is a part of a picture. None for
            classes as the config says, or nothing.

    Raises:
        BadInput: A model is missing, has no EMA snapshots, or cannot guide this one; or a model
            that works on a picture has none.
    """
    if takes_few_steps(diffusion, config):
        return _load_few_steps(diffusion, config, device, subjects)
    network = load_denoiser(diffusion)
    if config.ema_length is not None:
        network.load_state_dict(ema.load_ema(diffusion, config.ema_length), strict=False)
        settle_spectral_norms(network)  # they were estimated on the weights of another EMA
    subjects = subjects or _subjects_of(diffusion, network, config)
    guide, gets_condition = None, False
    if config.guidance_scale != 1:
        assert config.guide is not None
        gets_condition = config.guide.kind != "unconditional"
        guide = bake_spectral_norms(_load_guide(config.guide, diffusion, network)).to(device)
    plain = bake_spectral_norms(network).to(device)
    return Networks(plain, guide, gets_condition, subjects)


def takes_few_steps(diffusion: Path, config: SampleConfig) -> bool:
    """Tell whether the network that was tuned for few steps (`diffusion.distil`) is sampled from.

    It is if the model has one for exactly `sample.steps`, whichever sampler of fixed steps is
    chosen: it has its own. An adaptive sampler and `ddim` always take the flow.
    """
    folder = diffusion / weights.FEW_STEPS
    if config.sampler in ("adaptive", "ddim") or not folder.is_dir():
        return False
    return len(weights.record_of(folder)["stops"]) == config.steps + 1


def few_steps_facts(diffusion: Path, config: SampleConfig) -> dict[str, str]:
    """Give the digest of the network that was tuned for few steps, for marks; nothing if the flow
    is sampled from."""
    if not takes_few_steps(diffusion, config):
        return {}
    logger.info("taking the network of %s that was tuned for %d steps", diffusion, config.steps)
    return {"few_steps_sha256": sha256_of(diffusion / weights.FEW_STEPS / "model.safetensors")}


def check_few_steps(diffusion: Path, config: SampleConfig, prompts: Sequence[Prompt]) -> None:
    """Raise BadInput if a prompt has options that the network for few steps cannot follow.

    Args:
        diffusion: Folder of the diffusion model.
        config: Section `sample` of the params.
        prompts: That will be drawn.
    """
    if not takes_few_steps(diffusion, config):
        return
    for prompt in prompts:
        for option, asked, only in (
            ("--s", prompt.steps, config.steps),
            ("--l", prompt.guidance_scale, 1.0),
        ):
            if asked not in (None, only):
                raise BadInput(
                    f"{prompt.text!r} has {option} {asked:g}, but {config.steps} steps are taken "
                    f"by {diffusion / weights.FEW_STEPS}, a network tuned for exactly these and "
                    f"without guidance; leave out {option}, or draw in another number of steps "
                    "(sample.steps, --steps)"
                )


def _load_few_steps(
    diffusion: Path, config: SampleConfig, device: torch.device, subjects: Subjects | None
) -> Networks:
    folder = diffusion / weights.FEW_STEPS
    for name, neutral in (("guidance_scale", 1.0), ("ema_length", None)):
        if (value := getattr(config, name)) != neutral:
            raise BadInput(
                f"sample.{name} is {value}, but {folder}, the network for {config.steps} steps, "
                f"takes none; set it to {'null' if neutral is None else neutral}, or take another "
                "number of steps"
            )
    network = load_denoiser(folder)
    # The vocabulary of a text model is in the folder of the flow.
    subjects = subjects or _subjects_of(diffusion, network, config)
    stops = torch.tensor(weights.record_of(folder)["stops"], dtype=torch.float64)
    return Networks(bake_spectral_norms(network).to(device), subjects=subjects, stops=stops)


def _subjects_of(folder: Path, network: Denoiser, config: SampleConfig) -> Subjects:
    """Give the subjects that need nothing but the model and the config."""
    record = weights.record_of(folder)
    task = task_of_model(record, network.condition_sizes)
    found = find_task(task, record)
    if found.needs_pictures or found.needs_maps:
        raise BadInput(
            f"{folder} was trained for {task.kind} and works on a picture; use the stage 'sample' "
            f"on held-out pictures, or the command for {task.kind} on yours"
        )
    if isinstance(task, TextTask):
        prompts = config.prompts if isinstance(config.prompts, tuple) else ()
        parsed = parse_prompts(prompts) or (Prompt(EMPTY),)
        return Prompts(parsed, text_task(folder, task), config)
    sizes = network.condition_sizes
    if sizes is not None and isinstance(task, UnconditionalTask):
        raise BadInput(
            f"{folder} takes a condition ({sizes}), but does not say for which task; train it "
            "again with diffusion.task"
        )
    names = _classes(folder, network)
    chosen = choose_classes(config.classes, names, folder)
    return Classes(chosen, names) if names else NO_SUBJECTS


def _classes(folder: Path, network: Denoiser) -> tuple[str, ...]:
    """Give the names of the classes that a network takes, by label."""
    condition = network.condition_sizes
    if condition is None or not condition.num_classes:
        return ()
    names = names_of(weights.record_of(folder))
    if len(names) != condition.num_classes:
        raise BadInput(f"{folder} takes {condition.num_classes} classes but names {len(names)}")
    return names


def _load_guide(config: GuideConfig, diffusion: Path, network: Denoiser) -> Denoiser:
    if config.kind == "unconditional":
        if network.condition_sizes is None:
            raise BadInput(
                f"sample.guide: {diffusion} takes no condition, so classifier-free guidance cannot "
                "leave it out; choose kind: ema or model, or train it with diffusion.task"
            )
        return network
    if config.kind == "ema":
        assert config.ema_length is not None
        guide = load_denoiser(diffusion)
        found = ema.load_ema(diffusion, config.ema_length, _end_of_ema(config, diffusion))
        guide.load_state_dict(found, strict=False)
        return settle_spectral_norms(guide)
    assert config.path is not None
    folder = Path(config.path)
    # Equal params must give equal pictures.
    check_sha256(folder / "model.safetensors", str(config.sha256), "sample.guide")
    guide = load_denoiser(folder)
    _check_fit(folder, weights.record_of(diffusion), _schedule(network), _schedule(guide))
    both = _classes(folder, guide), _classes(diffusion, network)
    if guide.condition_sizes not in (None, network.condition_sizes):
        raise BadInput(
            f"sample.guide.path: {folder} takes another condition than the model to guide; a guide "
            "needs the same one, or none"
        )
    if both[0] and both[0] != both[1]:
        raise BadInput(
            f"sample.guide.path: {folder} has the classes {both[0]}, but the model to guide has "
            f"{both[1]}; a guide needs the same classes, or none"
        )
    return guide


def _end_of_ema(config: GuideConfig, diffusion: Path) -> int:
    if config.images_seen is not None:
        return config.images_seen
    assert config.training_share is not None
    try:
        return ema.earlier_end(diffusion, config.training_share)
    except BadInput as error:
        raise BadInput(f"sample.guide: {error}; or set sample.guidance_scale to 1.0") from error


def _check_fit(folder: Path, facts: dict[str, Any], schedule: object, of_guide: object) -> None:
    found = weights.record_of(folder)
    for name in ("autoencoder_sha256", "level_shapes"):
        if found.get(name) != facts[name]:
            raise BadInput(
                f"sample.guide.path: {folder} has {name} {found.get(name)}, but the model to guide "
                f"has {facts[name]}; both must be trained on the same latents"
            )
    if schedule != of_guide:
        raise BadInput(
            f"sample.guide.path: {folder} was trained with windows or level_times {of_guide}, but "
            f"the model to guide with {schedule}; both need the same ones"
        )


def _schedule(network: Denoiser) -> object:
    return getattr(network.config, "schedule", None)
