"""LDM's released denoising networks (Rombach et al., arXiv:2112.10752), of diffusers' blocks.

`published` builds any of the released configurations, with their exact numbers of parameters, their
attention heads and the initial weights of LDM's code. `DESIGNS` gives their blocks at any width.
"""

from typing import Any

from diffusers import UNet2DConditionModel, UNet2DModel
from torch import nn

from pdm.baselines.initialisation import initialise_as_ldm
from pdm.baselines.unet_with_heads import NUM_HEADS, set_num_heads

CROSS = {"down": "CrossAttnDownBlock2D", "up": "CrossAttnUpBlock2D"}
ATTENDING = {"down": "AttnDownBlock2D", "up": "AttnUpBlock2D"}
PLAIN = {"down": "DownBlock2D", "up": "UpBlock2D"}
RESAMPLING = {"down": "ResnetDownsampleBlock2D", "up": "ResnetUpsampleBlock2D"}
RESNET: dict[str, Any] = {"downsample_type": "resnet", "upsample_type": "resnet"}


def published(name: str) -> nn.Module:
    """Build a released network with random weights, by the name of its configuration.

    One of celeba (also ffhq and beds), churches, inpainting_big, bsr_sr, semantic; conditional:
    cin256, cin256-v2, txt2img, layout (of OpenImages).
    """
    return build_unet(RELEASED[name], num_heads=HEADS.get(name))


def build_unet(settings: dict[str, Any], num_heads: int | None = None) -> nn.Module:
    """Build a network of diffusers with LDM's initial weights.

    Args:
        settings: Arguments of `UNet2DConditionModel` if they have a `cross_attention_dim`, else of
            `UNet2DModel`.
        num_heads: Heads of every self-attention block, whatever its width; `UNet2DModel` itself
            only takes a number of channels per head.
    """
    kind: Any = UNet2DConditionModel if "cross_attention_dim" in settings else UNet2DModel
    network: nn.Module = kind(**settings)
    if num_heads:
        set_num_heads(network, num_heads)
    initialise_as_ldm(network)
    return network


def _blocks(*kinds: dict[str, str]) -> dict[str, list[str]]:
    """List the types of the blocks, from the finest resolution to the coarsest."""
    return {
        "down_block_types": [kind["down"] for kind in kinds],
        "up_block_types": [kind["up"] for kind in reversed(kinds)],
    }


def _celeba(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 3, 4)],
        "attention_head_dim": 32,
        **_blocks(PLAIN, ATTENDING, ATTENDING, ATTENDING),
    }


def _churches(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 2, 4, 4)],
        "resnet_time_scale_shift": "scale_shift",
        **RESNET,
        **_blocks(*[ATTENDING] * 4, RESAMPLING),
    }


def _inpainting_big(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 3, 4)],
        **RESNET,
        **_blocks(RESAMPLING, ATTENDING, ATTENDING, ATTENDING),
    }


def _bsr_sr(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 2, 4)],
        "attention_head_dim": 32,
        **_blocks(PLAIN, PLAIN, PLAIN, ATTENDING),
    }


def _semantic(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 4, 8)],
        **_blocks(PLAIN, PLAIN, PLAIN),
    }


def _txt2img(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 4, 4)],
        "attention_head_dim": 8,  # here, the number of heads
        **_blocks(CROSS, CROSS, CROSS, PLAIN),
    }


def _layout(width: int) -> dict[str, Any]:
    widths = [width * factor for factor in (1, 2, 3, 4)]
    return {
        "block_out_channels": widths,
        "attention_head_dim": [one // 32 for one in widths],  # here, the number of heads
        "transformer_layers_per_block": 3,
        **_blocks(PLAIN, CROSS, CROSS, CROSS),
    }


DESIGNS = {
    "celeba": _celeba,
    "churches": _churches,
    "inpainting_big": _inpainting_big,
    "bsr_sr": _bsr_sr,
    "semantic": _semantic,
    "txt2img": _txt2img,
    "layout": _layout,
}
HEADS = dict.fromkeys(("churches", "inpainting_big", "semantic"), NUM_HEADS)  # as released
RELEASED: dict[str, dict[str, Any]] = {
    "celeba": {"in_channels": 3, "out_channels": 3, **_celeba(224)},
    "churches": {"in_channels": 4, "out_channels": 4, **_churches(192)},
    "inpainting_big": {"in_channels": 7, "out_channels": 3, **_inpainting_big(256)},
    "bsr_sr": {"in_channels": 6, "out_channels": 3, **_bsr_sr(160)},
    "semantic": {"in_channels": 6, "out_channels": 3, **_semantic(128)},
    "cin256": {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [256, 512, 1024],
        "attention_head_dim": [8, 16, 32],  # here, the number of heads
        "cross_attention_dim": 512,
        **_blocks(CROSS, CROSS, CROSS),
    },
    "cin256-v2": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": [192, 384, 576, 960],
        "attention_head_dim": 1,
        "cross_attention_dim": 512,
        **_blocks(PLAIN, CROSS, CROSS, CROSS),
    },
    "txt2img": {
        "in_channels": 4,
        "out_channels": 4,
        "cross_attention_dim": 1280,
        **_txt2img(320),
    },
    "layout": {
        "in_channels": 3,
        "out_channels": 3,
        "cross_attention_dim": 512,
        **_layout(128),
    },
}
