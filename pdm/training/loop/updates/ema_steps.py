"""How a training moves its EMAs, in few launches."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pdm.training.distributed.sharded import local_tensor
from pdm.training.loop.power_iteration import Rows

ROWS_AT_ONCE = 256  # on a CPU: a megabyte, which stays in its cache for all EMAs


class EmaSteps:
    """Moves EMAs of weights towards the weights.

    Args:
        weights: Of the network; those in `rows` must not be replaced afterwards.
        emas: Those of one EMA after the other, in the order of the weights.
        rows: The array that holds some of the weights, if there is one. Their EMAs move to arrays
            alike, so that one kernel does for all of them what would be one for each.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter], emas: Sequence[Sequence[Tensor]], rows: Rows | None
    ) -> None:
        self._rows, self._arrays = rows, list[Tensor]()
        places = {id(weight): place for place, weight in enumerate(weights)}
        if rows is not None:
            inside = [places.pop(id(weight)) for weight in rows.weights]
            for means in emas:
                self._arrays.append(rows.lay_out_alike([means[place] for place in inside]))
        # All EMAs of a weight in turn, so that it is read from memory once.
        self._means = [means[place] for place in places.values() for means in emas]
        self._latest = [weights[place] for place in places.values() for _ in emas]

    @torch.no_grad()
    def move(self, shares: Sequence[float]) -> None:
        """Move each EMA by its share of the way."""
        if self._means:
            means = [local_tensor(mean) for mean in self._means]
            latest = [local_tensor(weight) for weight in self._latest]
            torch._foreach_lerp_(means, latest, [*shares] * (len(means) // len(shares)))
        if self._rows is None:
            return
        values = self._rows.values
        size = ROWS_AT_ONCE if values.device.type == "cpu" else len(values)
        for start in range(0, len(values), size):
            part = slice(start, start + size)
            for array, share in zip(self._arrays, shares, strict=True):
                array[part].lerp_(values[part], share)
