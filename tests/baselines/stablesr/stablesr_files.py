"""The files of a small StableSR, by the names of the published ones."""

from dataclasses import asdict

import torch
from shared.published_stablesr import (
    FIRST_STAGE_CONFIG,
    HEAD_WIDTH,
    published_first_stage,
    randomise,
)

from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.importing import Published
from pdm.config.networks.stablesr import FusingFirstStageConfig


def published(*files, **settings) -> Published:
    return Published(files=files, head_width=HEAD_WIDTH, size_px=64, **settings)


def below(prefix, tensors):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def wrapping(seed: int = 1) -> dict:
    """What `vqgan_cfw_00011.ckpt` has, small, by its names."""
    torch.manual_seed(seed)
    config = FusingFirstStageConfig(**asdict(FIRST_STAGE_CONFIG), fusion_weight=0.5)
    state = randomise(FusingFirstStage(config)).state_dict()
    found = published_first_stage(state, "fusing.")
    for name, value in state.items():
        if name.startswith("fusions."):
            _, level, rest = name.split(".", 2)
            rest = rest.replace("conv_shortcut", "conv_out")
            found[f"decoder.fusion_layer_{level}.{rest}"] = value
    return found
