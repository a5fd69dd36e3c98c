"""LDM's networks with 8 heads at every width, where diffusers' have heads of one width.

An exported pipeline has a copy of this file, so it imports diffusers only.
"""

import functools
from typing import Any

from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import nn

NUM_HEADS = 8


def set_num_heads(network: nn.Module, num_heads: int) -> None:
    """Set the heads of every self-attention block, whatever its width."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.heads = module.sliceable_head_dim = num_heads
            module.scale = (module.inner_dim // num_heads) ** -0.5


class UNetWithEightHeads(UNet2DModel):
    """`UNet2DModel` with its settings and weights, but for `attention_head_dim`."""

    # diffusers reads the names of the settings from the signature.
    @functools.wraps(UNet2DModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        set_num_heads(self, NUM_HEADS)
