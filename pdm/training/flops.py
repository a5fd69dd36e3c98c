"""What a network computes, counted and not timed: equal on every machine."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def flops_of(call: Callable[[], object]) -> int:
    """Floating-point operations of the convolutions and matrix products that `call` makes.

    A multiplication and an addition count as two. Norms, activations and the like are left out, as
    by everybody who counts (torch.utils.flop_counter).
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
