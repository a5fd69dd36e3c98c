"""What a network may be told about the picture that it is to draw: a class, tokens, a map.

This is the seam for tasks to come: text, enlarging, filling in. The trunk knows a `Condition` and
no task. Each part that a network was built for must be given; `without` says nothing of a picture,
which classifier-free guidance needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.diffusion import ConditionConfig
from pdm.models.layers import group_norm, num_heads, res_skip, zero_init
from pdm.models.pyramid import Pyramid


@dataclass(frozen=True)
class Condition:
    """Of a batch of pictures; what a network was not built for is None."""

    label: Tensor | None = None  # (B,) int64, below num_classes; num_classes stands for "not said"
    tokens: Tensor | None = None  # (B, any number, token_width)
    picture: Tensor | None = None  # (B, map_channels, h, w), of any size; averaged to each level's

    def check(self, config: ConditionConfig | None) -> None:
        """Compare with what a network was built for.

        Raises:
            ValueError: A part is missing, or the network takes none.
        """
        for name, size in _sizes(config).items():
            if (getattr(self, name) is None) != (size == 0):
                wanted = "needs" if size else "was built without"
                raise ValueError(f"this network {wanted} a condition of the kind '{name}'")


NO_CONDITION = Condition()


def with_class_label(
    network: Callable[..., Pyramid], label: Tensor | None
) -> Callable[[Pyramid, Tensor], Pyramid]:
    """The network as a velocity, with the class (B,) of each picture; None for one without any."""
    return network if label is None else partial(network, condition=Condition(label))


def drop_condition(config: ConditionConfig, condition: Condition) -> Condition:
    """The same for pictures of which nothing is said: no class, tokens and map of zeros."""
    label, tokens, picture = condition.label, condition.tokens, condition.picture
    return Condition(
        None if label is None else torch.full_like(label, config.num_classes),
        None if tokens is None else torch.zeros_like(tokens),
        None if picture is None else torch.zeros_like(picture),
    )


class CrossAttention(nn.Module):
    """Each pixel gathers from the tokens. Its projection starts at zero."""

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
        attended = F.scaled_dot_product_attention(query.mT, key, value)
        return res_skip(features, self.projection(attended.mT.reshape(features.shape)))


def _sizes(config: ConditionConfig | None) -> dict[str, int]:
    if config is None:
        return {"label": 0, "tokens": 0, "picture": 0}
    return {
        "label": config.num_classes,
        "tokens": config.token_width,
        "picture": config.map_channels,
    }
