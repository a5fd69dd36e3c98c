"""The memory that the tensors of a computation take at its peak, counted without computing it.

Under `FakeTensorMode` tensors have shapes, types and devices but no values, so a step of any size
can be followed on any machine, with the precision of its autocast.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

UNKNOWN = torch.ops.aten._local_scalar_dense.default


def without_values() -> FakeTensorMode:
    """Make the mode in which tensors have no values; real ones may be read, as if without any."""
    return FakeTensorMode(allow_non_fake_inputs=True)


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made in the block and still referenced.

    Enter it inside of `without_values`. Where the computation asks for a value, such as a random
    position, it gets 0.

    Attributes:
        total: Bytes that are alive now.
        peak: Maximum of `total`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is UNKNOWN:
            return 0
        before = {id(one.untyped_storage()) for one in _tensors((args, kwargs))}
        found = func(*args, **(kwargs or {}))
        for tensor in _tensors(found):
            storage = tensor.untyped_storage()
            if id(storage) not in before and id(storage) not in self._alive:
                self._add(storage)
        return found

    def _add(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()

        def forget(_: object) -> None:
            del self._alive[key]
            self.total -= size

        self._alive[key] = weakref.ref(storage, forget)
        self.total += size
        self.peak = max(self.peak, self.total)


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
