"""Steps that are not finite are skipped on the device, and reported one step later.

Whether the loss or a gradient is finite is known on the device only. To ask for it at once would
keep the device waiting in every step. So the optimizer skips such a step by itself, and the numbers
are copied to the host while the next step runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class HostCopy:
    """A copy of device values on the host, which arrives while the device works on.

    Args:
        values: Scalars on one device.
    """

    def __init__(self, values: Sequence[Tensor]) -> None:
        together = torch.stack([value.detach().float() for value in values])
        self._arrived: torch.cuda.Event | None = None
        self._values = together
        if together.is_cuda:
            self._values = torch.empty_like(together, device="cpu", pin_memory=True)
            self._values.copy_(together, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> list[float]:
        """Wait for the copy, and give its values."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return [float(value) for value in self._values.numpy()]


@dataclass(frozen=True)
class StepNumbers:
    """What decides whether a step was finite.

    Args:
        images_seen: Before the step.
        passes: Positions and loss of each pass of this worker.
        norms: Norms of the gradients, by name in the log.
    """

    images_seen: int
    passes: list[tuple[range, Tensor]]
    norms: dict[str, Tensor]

    def is_faulty(self) -> Tensor:
        """Return 1 if a norm is not finite, else 0: a scalar on the device."""
        norms = torch.stack([norm.float() for norm in self.norms.values()])
        return (~norms.isfinite()).any().float()

    def copy_to_host(self) -> HostCopy:
        """Start to copy norms and losses."""
        return HostCopy([*self.norms.values(), *(loss for _, loss in self.passes)])

    def faults(
        self, copy: HostCopy, keys_of: Callable[[range], list[str]]
    ) -> tuple[str | None, str | None]:
        """Describe the norms, and this worker's first loss, that are not finite; None if all are.

        Args:
            copy: From `copy_to_host`; waited for.
            keys_of: Gives the names of the images at some positions.
        """
        values = copy.read()
        norms, losses = values[: len(self.norms)], values[len(self.norms) :]
        faulty = [
            f"the norm of the gradient is {norm} ({name})"
            for name, norm in zip(self.norms, norms, strict=True)
            if not math.isfinite(norm)
        ]
        found = (
            f"the loss is {loss} on the images {', '.join(keys_of(positions))}"
            for (positions, _), loss in zip(self.passes, losses, strict=True)
            if not math.isfinite(loss)
        )
        return " and ".join(faulty) or None, next(found, None)
