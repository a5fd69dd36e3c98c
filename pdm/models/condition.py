"""Conditions of a denoising network: a class, tokens, a map.

Other tasks can plug in here: text, super-resolution, inpainting. The trunk knows a `Condition` and
no task. A condition must have each part that the network was built for. `drop_condition` gives the
empty condition that classifier-free guidance (CFG) needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.diffusion import ConditionConfig
from pdm.models.layers import group_norm, num_heads, pixels_first, res_skip, zero_init
from pdm.models.levels.pyramid import Pyramid


@dataclass(frozen=True)
class Condition:
    """Condition of a batch of pictures. A part that the network was not built for is None."""

    label: Tensor | None = (
        None  # (B,) int64, a class below num_classes, or num_classes for no class
    )
    tokens: Tensor | None = None  # (B, any number, token_width)
    picture: Tensor | None = (
        None  # (B, map_channels, h, w), any size; averaged down to each level's
    )

    def check(self, config: ConditionConfig | None) -> None:
        """Check that the condition has the parts that a network was built for, and no others.

        Raises:
            ValueError: A part is missing, or the network does not take it.
        """
        for name, size in _sizes(config).items():
            if (getattr(self, name) is None) != (size == 0):
                verb = "needs" if size else "was built without"
                raise ValueError(f"this network {verb} a condition of the kind '{name}'")


NO_CONDITION = Condition()


def with_class_label(
    network: Callable[..., Pyramid], label: Tensor | None
) -> Callable[[Pyramid, Tensor], Pyramid]:
    """Bind the class (B,) of each picture to the network; None for a network without classes."""
    return network if label is None else partial(network, condition=Condition(label))


def drop_condition(config: ConditionConfig, condition: Condition) -> Condition:
    """Give the empty condition of the same shape: no class, tokens and map of zeros."""
    label, tokens, picture = condition.label, condition.tokens, condition.picture
    return Condition(
        None if label is None else torch.full_like(label, config.num_classes),
        None if tokens is None else torch.zeros_like(tokens),
        None if picture is None else torch.zeros_like(picture),
    )


class CrossAttention(nn.Module):
    """Attention from each pixel to the tokens. Its projection starts at zero."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads(width)
        self.norm = group_norm(width)
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Linear(token_width, 2 * width)
        self.projection = zero_init(nn.Conv2d(width, width, 1))

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """(B, width, h, w) and (B, N, token_width) to (B, width, h, w)."""
        batch, width, height, breadth = features.shape
        query = self.query(self.norm(features)).reshape(batch, self.num_heads, -1, height * breadth)
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        key, value = (
            part.reshape(batch, -1, self.num_heads, width // self.num_heads).transpose(1, 2)
            for part in (key, value)
        )
        attended = F.scaled_dot_product_attention(pixels_first(query), key, value)
        return res_skip(features, self.projection(attended.mT.reshape(features.shape)))


def _sizes(config: ConditionConfig | None) -> dict[str, int]:
    if config is None:
        return {"label": 0, "tokens": 0, "picture": 0}
    return {
        "label": config.num_classes,
        "tokens": config.token_width,
        "picture": config.map_channels,
    }
