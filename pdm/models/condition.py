"""Conditions of a denoising network: a class, tokens, a map, an encoded image.

The trunk knows a `Condition` and no task: `pdm.tasks` makes the condition of each task. A condition
must have each part that the network was built for. `drop_condition` gives the empty condition that
classifier-free guidance (CFG) needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.models.levels.pyramid import LevelShape, Pyramid


@dataclass(frozen=True)
class Condition:
    """Condition of a batch of B images. A part that the network was not built for is None.

    Args:
        label: (B,) int64, a class below `num_classes`, or `num_classes` for no class.
        tokens: (B, N, token_width); for a network with a transformer also (B, N) int64.
        map: (B, map_channels, h, w) of any size; averaged down to the size of each level.
        levels: (B, level_channels[k], h, w) for each level that is a map, of that level's size.
        mask: (B, N) bool, False for padding; None for no padding.
    """

    label: Tensor | None = None
    tokens: Tensor | None = None
    map: Tensor | None = None
    levels: Pyramid | None = None
    mask: Tensor | None = None

    def change(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """Change every tensor, for example move it to a device."""

        def changed(part: Tensor | None) -> Tensor | None:
            return None if part is None else change(part)

        return Condition(
            label=changed(self.label),
            tokens=changed(self.tokens),
            map=changed(self.map),
            levels=None if self.levels is None else tuple(change(level) for level in self.levels),
            mask=changed(self.mask),
        )

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, in the order in which `change` visits them."""
        found: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.change(note)
        return found

    @property
    def is_empty(self) -> bool:
        """Whether it has no part, as for an unconditional network."""
        return not self.tensors

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
    """Return the condition with the empty one for the images that are dropped, for CFG.

    Args:
        config: Sizes of the condition.
        condition: Of the batch.
        dropped: (B,) bool.
    """
    return choose_rows(dropped, drop_condition(config, condition), condition)


def choose_rows(rows: Tensor, first: Condition, second: Condition) -> Condition:
    """Return the first condition for some images of a batch, and the second for the others.

    Args:
        rows: (B,) bool, True for the first condition; on any device.
        first, second: Of all images of the batch, with the same parts and shapes.

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
    others = iter(second.tensors)
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
        count: Number of images.
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


def _sizes(config: ConditionConfig | None) -> dict[str, int]:
    if config is None:
        return {"label": 0, "tokens": 0, "map": 0, "levels": 0}
    return {
        "label": config.num_classes,
        "tokens": config.token_width,
        "map": config.map_channels,
        "levels": len(config.level_channels),
    }
