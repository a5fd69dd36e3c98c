"""LDM's initial weights for networks of diffusers' blocks.

LDM's code (github.com/CompVis/latent-diffusion) follows ADM: the layers that end a branch start at
zero (`zero_module` in `openaimodel.py` and `attention.py`), so every block starts as the identity
and the network predicts zero. diffusers leaves them at PyTorch's default. All other layers have
PyTorch's default in both.
"""

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn


def zero_initialised(network: nn.Module) -> dict[str, nn.Module]:
    """Find the layers that LDM initialises to zero, by their names in diffusers' network.

    They are the last convolution of each residual block, the output projection of each
    self-attention block and spatial transformer, and the output convolution. The attention layers
    inside a spatial transformer are not among them.
    """
    found: dict[str, nn.Module] = {"conv_out": network.get_submodule("conv_out")}
    for name, module in network.named_modules():
        if isinstance(module, ResnetBlock2D):
            found[f"{name}.conv2"] = module.conv2
        elif isinstance(module, Transformer2DModel):
            found[f"{name}.proj_out"] = module.proj_out
        elif isinstance(module, Attention) and module.residual_connection:
            found[f"{name}.to_out.0"] = module.to_out[0]
    return found


@torch.no_grad()
def initialise_as_ldm(network: nn.Module) -> None:
    """Set weights and biases of the `zero_initialised` layers to zero; change nothing else."""
    for layer in zero_initialised(network).values():
        for parameter in layer.parameters():
            parameter.zero_()
