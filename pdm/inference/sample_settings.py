"""The settings that a sample depends on, as its provenance and `samples.json` have them."""

import dataclasses
from typing import Any

from pdm.config.fields import Mark, fields_without
from pdm.config.stages.sample import SampleConfig

SAMPLE_SETTINGS = fields_without(SampleConfig, Mark.NOT_IN_SAMPLES)
GUIDANCE_SETTINGS = ("guidance_scale", "guide", "guidance_interval")
SIZE_SETTINGS = ("size", "enlarger", "tiling", "colour")


def settings_of(config: SampleConfig) -> dict[str, Any]:
    """Return all settings that an image depends on besides its seed and the models. Guidance,
    classes and a size are left out if they were not used."""
    guided = config.guidance_scale != 1
    unused = (() if guided else GUIDANCE_SETTINGS) + (() if config.classes else ("classes",))
    # As in earlier versions, which had no other.
    unused += ("precision",) if config.precision == "float32" else ()
    unused += SIZE_SETTINGS if config.size is None else ()
    unused += ("enlarger",) if config.enlarger is None else ()
    found = dataclasses.asdict(config)
    if guided:
        found["guide"] = {name: v for name, v in found["guide"].items() if v is not None}
    return {name: found[name] for name in SAMPLE_SETTINGS if name not in unused}
