"""The token states of the empty text, from the weights of Stable Diffusion 2's text encoder.

It is OpenCLIP's ViT-H/14 (Cherti et al., arXiv:2212.07143). Stable Diffusion 2 reads the states
before the last of its layers. As StableSR's code gives it the empty text only, no tokenizer is
needed, and the states are computed once.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

START, END, PADDING = 49406, 49407, 0  # OpenCLIP's tokens
HEAD_WIDTH = 64


@torch.no_grad()
def encode_empty_text(tensors: Mapping[str, Tensor], num_layers: int) -> Tensor:
    """Return the states of the empty text, (tokens, width) in float32.

    Args:
        tensors: Of the encoder, by OpenCLIP's names.
        num_layers: That are applied.
    """
    known = {name: value.float() for name, value in tensors.items()}
    places = known["positional_embedding"]
    tokens = torch.full((len(places),), PADDING)
    tokens[:2] = torch.tensor([START, END])
    x = known["token_embedding.weight"][tokens] + places
    for number in range(num_layers):
        prefix = f"transformer.resblocks.{number}."
        own = {
            name.removeprefix(prefix): value
            for name, value in known.items()
            if name.startswith(prefix)
        }
        x = x + _attend(_norm(x, own, "ln_1"), own)
        wide = F.gelu(_linear(_norm(x, own, "ln_2"), own, "mlp.c_fc"))
        x = x + _linear(wide, own, "mlp.c_proj")
    return _norm(x, known, "ln_final")


def _attend(x: Tensor, own: Mapping[str, Tensor]) -> Tensor:
    """Let each token attend to itself and those before it."""
    joined = F.linear(x, own["attn.in_proj_weight"], own["attn.in_proj_bias"])
    heads = joined.view(len(x), 3, -1, HEAD_WIDTH).permute(1, 2, 0, 3)[:, None]
    query, key, value = heads.unbind(0)
    read = F.scaled_dot_product_attention(query, key, value, is_causal=True)[0]
    return _linear(read.transpose(0, 1).flatten(1), own, "attn.out_proj")


def _linear(x: Tensor, own: Mapping[str, Tensor], name: str) -> Tensor:
    return F.linear(x, own[f"{name}.weight"], own[f"{name}.bias"])


def _norm(x: Tensor, own: Mapping[str, Tensor], name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"])
