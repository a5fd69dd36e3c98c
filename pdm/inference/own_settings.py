"""Settings of sampling that a model brings along, in place of those of the params.

Models that the project did not train, such as StableSR's, are sampled as their authors do.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from pdm.config.sampling.own_settings import FACT, SETTINGS
from pdm.config.stages.sample import SampleConfig
from pdm.errors import BadInput

SAMPLERS = ("euler", "heun", "multistep", "ddim")
MAX_STEPS = 1000
# Of the model that the params are for.
NEUTRAL: dict[str, Any] = {
    "guidance_scale": 1.0,
    "guide": None,
    "ema_length": None,
    "classes": None,
    "prompts": None,
    "negative_prompt": None,
    "layouts": None,
}


def with_own_settings(config: SampleConfig, record: Mapping[str, Any]) -> SampleConfig:
    """Return the settings to sample a model by: its own, if it has any, without guidance.

    Args:
        config: Section `sample` of the params.
        record: `config.json` of the diffusion model.

    Raises:
        BadInput: Its own settings are unknown or out of range.
    """
    if FACT not in record:
        return config
    own = record[FACT]
    try:
        if not isinstance(own, Mapping) or set(own) != set(SETTINGS):
            raise ValueError(f"expected {', '.join(SETTINGS)}")
        if own["sampler"] not in SAMPLERS:
            raise ValueError(f"expected a sampler of {', '.join(SAMPLERS)}")
        found = dataclasses.replace(config, **own, **NEUTRAL)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"the model's config.json has {FACT} {own}, which this version does not know ({error})"
        ) from error
    return found


def own_facts(config: SampleConfig, record: Mapping[str, Any]) -> dict[str, str]:
    """Return what an image's provenance says of the settings that a model brings along; nothing if
    it has none.

    Args:
        config: That it is sampled by.
        record: `config.json` of the diffusion model.
    """
    if FACT not in record:
        return {}
    return {FACT: json.dumps({name: getattr(config, name) for name in SETTINGS})}


def check_steps(config: SampleConfig, record: Mapping[str, Any]) -> None:
    """Raise BadInput if a model that was trained at a thousand steps is to take more."""
    if FACT in record and config.steps > MAX_STEPS:
        raise BadInput(
            f"--steps is {config.steps}, but the model has {MAX_STEPS:,} steps; take fewer"
        )
