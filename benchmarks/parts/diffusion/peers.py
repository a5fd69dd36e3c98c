"""UNets of diffusers with any number of parameters; counts operations."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.shared.networks import Network, count_parameters

GROUPS = 8  # of the group norms; 32 in both, but then few widths are possible
SDXL_CONTEXT = (77, 2048)  # tokens, and their width


def unet2d(width: int) -> UNet2DModel:
    """Its default layout: four resolutions, attention at all but the finest; there of width 224."""
    widths = tuple(width * factor for factor in (1, 2, 3, 4))
    network: UNet2DModel = UNet2DModel(
        in_channels=4, out_channels=4, block_out_channels=widths, norm_num_groups=GROUPS
    )
    return network


def unet2d_of(parameters: int) -> UNet2DModel:
    """The `unet2d` whose number of parameters is nearest, with random weights."""
    return unet2d(nearest(unet2d, parameters).config["block_out_channels"][0])


def sdxl(width: int) -> UNet2DConditionModel:
    """The layout of Stable Diffusion XL's network, which has a width of 320."""
    network: UNet2DConditionModel = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(width, 2 * width, 4 * width),
        transformer_layers_per_block=[1, 2, 10],
        attention_head_dim=[max(1, width * factor // 64) for factor in (1, 2, 4)],
        cross_attention_dim=SDXL_CONTEXT[1],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
        norm_num_groups=GROUPS,
    )
    return network


def sdxl_inputs(side: int) -> dict[str, Any]:
    """For one latent of this side, on the meta device."""
    with torch.device("meta"):
        return {
            "sample": torch.empty(1, 4, side, side),
            "timestep": torch.zeros(1),
            "encoder_hidden_states": torch.empty(1, *SDXL_CONTEXT),
            "added_cond_kwargs": {
                "text_embeds": torch.empty(1, 1280),
                "time_ids": torch.zeros(1, 6),
            },
        }


def nearest(build: Callable[[int], Network], parameters: int) -> Network:
    """The network whose number of parameters is nearest, among widths that the groups divide.

    On the meta device, so that the search takes neither memory nor time.
    """
    with torch.device("meta"):
        width, last = GROUPS, build(GROUPS)
        best = last
        while count_parameters(best) < parameters:
            width += GROUPS
            last, best = best, build(width)
    return min((last, best), key=lambda network: abs(count_parameters(network) - parameters))


def operations(run: Callable[[], Any]) -> int:
    """Floating-point operations of convolutions, matrix products and attention; two a product."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    found: int = counter.get_total_flops()
    return found
