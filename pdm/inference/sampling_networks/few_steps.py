"""The network that was distilled for few steps (`diffusion.distil`): when it is sampled from, and
what it cannot follow. It is in a folder within the flow's."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pdm import weights
from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.counts import counted
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.model_record import record_of

logger = logging.getLogger(__name__)


def uses_few_step_network(diffusion: Path, config: SampleConfig) -> bool:
    """Tell whether `sample` draws from the network distilled for few steps, not from the flow.

    It does if the model has one for exactly `sample.steps`; the network replaces the sampler of
    fixed steps, too. With the samplers `adaptive` and `ddim` it always draws from the flow.
    """
    folder = diffusion / weights.FEW_STEPS
    if config.sampler in ("adaptive", "ddim") or not folder.is_dir():
        return False
    return len(record_of(folder)["stops"]) == config.steps + 1


def few_steps_facts(diffusion: Path, config: SampleConfig) -> dict[str, str]:
    """Return the digest of the network distilled for few steps, for the provenance of
    images; nothing if the flow is sampled from."""
    if not uses_few_step_network(diffusion, config):
        return {}
    logger.info(
        "sampling with the network of %s that was distilled for %s",
        diffusion,
        counted(config.steps, "step"),
    )
    return {"few_steps_sha256": sha256_of(diffusion / weights.FEW_STEPS / "model.safetensors")}


def check_few_steps(diffusion: Path, config: SampleConfig, prompts: Sequence[Prompt]) -> None:
    """Raise BadInput if a prompt has options that the network for few steps cannot follow.

    Args:
        diffusion: Folder of the diffusion model.
        config: Section `sample` of the params.
        prompts: That will be drawn.
    """
    if not uses_few_step_network(diffusion, config):
        return
    for prompt in prompts:
        for option, asked, only in (
            ("--s", prompt.steps, config.steps),
            ("--l", prompt.guidance_scale, 1.0),
        ):
            if asked not in (None, only):
                raise BadInput(
                    f"{prompt.text!r} has {option} {asked:g}, but {diffusion / weights.FEW_STEPS} "
                    f"was distilled for exactly {counted(config.steps, 'step')} without guidance; "
                    f"leave out {option}, or choose another number of steps (sample.steps, --steps)"
                )


def check_settings(diffusion: Path, config: SampleConfig) -> None:
    """Raise BadInput if a setting asks for what the network for few steps does not have."""
    folder, steps = diffusion / weights.FEW_STEPS, counted(config.steps, "step")
    for name, neutral in (("guidance_scale", 1.0), ("ema_length", None)):
        if (value := getattr(config, name)) != neutral:
            raise BadInput(
                f"sample.{name} is {value}, but {folder}, distilled for {steps}, does "
                f"not support it; set it to {'null' if neutral is None else neutral}, or choose "
                "another number of steps"
            )
