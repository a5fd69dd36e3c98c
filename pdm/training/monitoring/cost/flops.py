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
        shortcut = _SHORTCUTS.get(func) if args and _is_on_meta(args[0]) and not kwargs else None
        found = shortcut(*args) if shortcut else None
        if found is None:
            found = func(*args, **(kwargs or {}))
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


def _like_first(x: Tensor, *others: Any) -> Tensor | None:
    """For operations on each value. None if another tensor has another shape or type."""
    if not x.is_floating_point():
        return None
    for other in others:
        if isinstance(other, Tensor) and (other.shape, other.dtype) != (x.shape, x.dtype):
            return None
    return torch.empty_like(x)


def _matrix_times_vector(matrix: Tensor, vector: Tensor) -> Tensor:
    return matrix.new_empty(len(matrix))


def _scalar(x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(())


def _norm_of_vector(x: Tensor, *arguments: Any) -> Tensor | None:
    keeps_axis = arguments[2:] == (True,)
    return x.new_empty(1) if x.ndim == 1 and keeps_axis else None


_aten = torch.ops.aten
# On the meta device torch goes through all of their arithmetic in Python to find the shapes of
# their results, which took most of the time of a count. Those that return None leave it to torch.
_SHORTCUTS: dict[Any, Callable[..., Any]] = {
    _aten.native_group_norm.default: _group_norm,
    _aten.native_layer_norm.default: _layer_norm,
    _aten.upsample_bilinear2d.default: _upsample,
    _aten.mv.default: _matrix_times_vector,
    _aten.dot.default: _scalar,
    _aten.mean.default: _scalar,
    _aten.linalg_vector_norm.default: _norm_of_vector,
    **dict.fromkeys(
        (
            *(_aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor),
            *(_aten.mul.Scalar, _aten.clamp_min.default, _aten.clamp.default),
            *(_aten.silu.default, _aten.abs.default, _aten._safe_softmax.default),
        ),
        _like_first,
    ),
}
