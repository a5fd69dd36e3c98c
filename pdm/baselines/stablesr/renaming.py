"""What the published weights are called here.

Those of the UNet and the time-aware encoder keep their names. Those of the first stages get the
names of diffusers' blocks."""

import re
from collections.abc import Mapping

from torch import Tensor

# Of latent diffusion's first stage, in turn, and of diffusers' `AutoencoderKL`.
FIRST_STAGE_NAMES = (
    (r"^encoder\.down\.(\d)\.block\.(\d)\.", r"encoder.down_blocks.\1.resnets.\2."),
    (r"^encoder\.down\.(\d)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"^decoder\.up\.(\d)\.block\.(\d)\.", r"decoder.up_blocks.\1.resnets.\2."),
    (r"^decoder\.up\.(\d)\.upsample\.", r"decoder.up_blocks.\1.upsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)
LEVELS = 4  # of the first stage


def diffusers_name(name: str) -> str:
    """Return diffusers' name of a weight of latent diffusion's first stage. Its decoder counts
    resolutions from the coarsest, latent diffusion's from the finest."""
    for pattern, becomes in FIRST_STAGE_NAMES:
        name = re.sub(pattern, becomes, name)
    return re.sub(
        r"(?<=^decoder\.up_blocks\.)\d", lambda found: str(LEVELS - 1 - int(found[0])), name
    )


def diffusers_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a first stage. Attention by 1x1 convolutions becomes linear."""
    return {diffusers_name(name): _as_linear(name, value) for name, value in tensors.items()}


def fusing_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the published feature wrapping, and leave its losses out."""
    return {
        renamed: _as_linear(name, value)
        for name, value in tensors.items()
        if (renamed := fusing_name(name)) is not None
    }


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a part, without its prefix."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def fusing_name(name: str) -> str | None:
    """Return the name in `FusingFirstStage` of a weight of the published feature wrapping; None for
    those of its training's losses."""
    if name.startswith("loss."):
        return None
    if found := re.fullmatch(r"decoder\.fusion_layer_(\d)\.(.*)", name):
        level, rest = found.groups()
        rest = rest.replace("encode_enc_1.conv_out.", "encode_enc_1.conv_shortcut.")
        return f"fusions.{level}.{rest}"
    return f"fusing.{diffusers_name(name)}"


def _as_linear(name: str, value: Tensor) -> Tensor:
    return value.flatten(1) if ".attn_1." in name and value.ndim == 4 else value
