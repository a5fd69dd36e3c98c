"""FLOPs of a network, counted and not timed: equal on every machine."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@torch.no_grad()
def flops_of(call: Callable[[], object]) -> int:
    """Count the floating-point operations of the convolutions and matrix products in `call`.

    A multiplication and an addition count as two. Norms, activations and the like are left out, as
    is usual (torch.utils.flop_counter).
    """
    counter = Counter()
    with counter:
        call()
    return counter.total


class Counter(TorchDispatchMode):
    """Counts by torch's own formulas; unlike torch's counter it takes no function apart (the parts
    would round otherwise), and lets a forward pass ask for gradients."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shortcut = _SHORTCUTS.get(func) if args and _is_on_meta(args[0]) else None
        found = (shortcut or func)(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=found))
        return found


def _is_on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def _group_norm(
    x: Tensor, weight: Any, bias: Any, batch: int, channels: int, area: int, groups: int, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(batch, groups), x.new_empty(batch, groups)


def _layer_norm(x: Tensor, normalised: list[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    kept = (*x.shape[: x.ndim - len(normalised)], *[1] * len(normalised))
    return torch.empty_like(x), x.new_empty(kept), x.new_empty(kept)


def _upsample(x: Tensor, size: list[int], *_: Any) -> Tensor:
    last = x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    shape = (*x.shape[:2], *size)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


# On the meta device torch goes through all of their arithmetic in Python to find the shapes of
# their results, which took half of the time of a count.
_SHORTCUTS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.native_group_norm.default: _group_norm,
    torch.ops.aten.native_layer_norm.default: _layer_norm,
    torch.ops.aten.upsample_bilinear2d.default: _upsample,
}
