"""Conditions of a denoising network: a class, tokens, a map, an encoded picture.

The trunk knows a `Condition` and no task: `pdm.tasks` makes the condition of each task. A condition
must have each part that the network was built for. `drop_condition` gives the empty condition that
classifier-free guidance (CFG) needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.condition import ConditionConfig
from pdm.models.layers.basic import group_norm, num_heads, pixels_first, res_skip, zero_init
from pdm.models.levels.pyramid import LevelShape, Pyramid


@dataclass(frozen=True)
class Condition:
    """Condition of a batch of B pictures. A part that the network was not built for is None.

    Args:
        label: (B,) int64, a class below `num_classes`, or `num_classes` for no class.
        tokens: (B, N, token_width); for a network with a transformer also (B, N) int64.
        picture: (B, map_channels, h, w) of any size; averaged down to the size of each level.
        levels: (B, level_channels[k], h, w) for each level that is a map, of that level's size.
        mask: (B, N) bool, False for padding; None for no padding.
    """

    label: Tensor | None = None
    tokens: Tensor | None = None
    picture: Tensor | None = None
    levels: Pyramid | None = None
    mask: Tensor | None = None

    def change(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """Change every tensor, for example move it to a device."""
        label, tokens, picture, levels = self.label, self.tokens, self.picture, self.levels
        return Condition(
            None if label is None else change(label),
            None if tokens is None else change(tokens),
            None if picture is None else change(picture),
            None if levels is None else tuple(change(level) for level in levels),
            None if self.mask is None else change(self.mask),
        )

    @property
    def is_empty(self) -> bool:
        """Whether it has no part, as for an unconditional network."""
        return not _tensors(self)

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


def with_condition(
    network: Callable[..., Pyramid], condition: Condition
) -> Callable[[Pyramid, Tensor], Pyramid]:
    """Bind the condition of a batch to a network."""
    return network if condition.is_empty else partial(network, condition=condition)


def drop_condition(config: ConditionConfig, condition: Condition) -> Condition:
    """Return the empty condition of the same shape: no class, tokens and maps of zeros."""
    empty, label = condition.change(torch.zeros_like), condition.label
    if condition.mask is not None:  # attention needs a token
        empty = replace(empty, mask=torch.ones_like(condition.mask))
    if label is None:
        return empty
    return replace(empty, label=torch.full_like(label, config.num_classes))


def drop_rows(config: ConditionConfig, condition: Condition, dropped: Tensor) -> Condition:
    """Return the condition with the empty one for the pictures that are dropped, for CFG.

    Args:
        config: Sizes of the condition.
        condition: Of the batch.
        dropped: (B,) bool.
    """
    return choose_rows(dropped, drop_condition(config, condition), condition)


def choose_rows(rows: Tensor, first: Condition, second: Condition) -> Condition:
    """Return the first condition for some pictures of a batch, and the second for the others.

    Args:
        rows: (B,) bool, True for the first condition; on any device.
        first, second: Of all pictures of the batch, with the same parts and shapes.

    Returns:
        A condition with the same parts, on the device of the first.
    """

    def choose(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(rows.to(one.device).view(-1, *[1] * (one.ndim - 1)), one, other)

    return combine(choose, first, second)


def concatenate(first: Condition, second: Condition) -> Condition:
    """Join the conditions of two batches, which have the same parts, into that of one batch."""
    return combine(lambda one, other: torch.cat([one, other]), first, second)


def combine(
    merge: Callable[[Tensor, Tensor], Tensor], first: Condition, second: Condition
) -> Condition:
    """Merge each tensor of one condition with that of another, which has the same parts."""
    others = iter(_tensors(second))
    return first.change(lambda tensor: merge(tensor, next(others)))


def empty_condition(
    config: ConditionConfig | None,
    level_shapes: Sequence[LevelShape],
    count: int,
    device: torch.device,
) -> Condition:
    """Return a condition of zeros, or on the meta device of shapes alone, for these latents.

    Args:
        config: What the network is conditioned on; None gives no condition.
        level_shapes: Of the latents, coarse to fine.
        count: Number of pictures.
        device: Device of the tensors.
    """
    if config is None:
        return NO_CONDITION
    finest = level_shapes[-1][1:]
    maps = level_shapes[len(level_shapes) - len(config.level_channels) :]
    return Condition(
        torch.zeros(count, dtype=torch.long, device=device) if config.num_classes else None,
        _no_tokens(config, count, device),
        torch.zeros(count, config.map_channels, *finest, device=device)
        if config.map_channels
        else None,
        tuple(
            torch.zeros(count, channels, *shape[1:], device=device)
            for channels, shape in zip(config.level_channels, maps, strict=True)
        )
        or None,
        torch.ones(count, config.text.max_tokens, dtype=torch.bool, device=device)
        if config.text
        else None,
    )


def _no_tokens(config: ConditionConfig, count: int, device: torch.device) -> Tensor | None:
    if config.text is not None:
        return torch.zeros(count, config.text.max_tokens, dtype=torch.long, device=device)
    if not config.token_width:
        return None
    return torch.zeros(count, 1, config.token_width, device=device)


def _tensors(condition: Condition) -> list[Tensor]:
    """List the tensors in the order in which `Condition.change` visits them."""
    parts = condition.label, condition.tokens, condition.picture, *(condition.levels or ())
    return [part for part in (*parts, condition.mask) if part is not None]


class CrossAttention(nn.Module):
    """Attention from each pixel to the tokens. Its projection starts at zero."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads(width)
        self.norm = group_norm(width)
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Linear(token_width, 2 * width)
        self.projection = zero_init(nn.Conv2d(width, width, 1))

    def forward(self, features: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, width, h, w) and (B, N, token_width) to (B, width, h, w); no pixel reads tokens where
        the mask (B, N) is False."""
        batch, channels, height, width = features.shape
        query = self.query(self.norm(features)).reshape(batch, self.num_heads, -1, height * width)
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        key, value = (
            part.reshape(batch, -1, self.num_heads, channels // self.num_heads).transpose(1, 2)
            for part in (key, value)
        )
        allowed = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(pixels_first(query), key, value, allowed)
        return res_skip(features, self.projection(attended.mT.reshape(features.shape)))


def _sizes(config: ConditionConfig | None) -> dict[str, int]:
    if config is None:
        return {"label": 0, "tokens": 0, "picture": 0, "levels": 0}
    return {
        "label": config.num_classes,
        "tokens": config.token_width,
        "picture": config.map_channels,
        "levels": len(config.level_channels),
    }
