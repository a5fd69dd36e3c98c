"""FLOPs of a network, counted and not timed: equal on every machine."""

from collections.abc import Callable
from typing import Any

import torch
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


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts by torch's own formulas; unlike torch's counter it takes no function apart (the parts
    would round otherwise), and lets a forward pass ask for gradients."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=found))
        return found
