"""Classes of pictures. Names are for people and stand in manifests, sorted; networks know labels.

A label is the place of a name among all names; a picture without a class has the label one past
the last, the class that networks know as "not said".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

FACT = "classes"  # of manifests and model folders: the names, sorted; absent where there are none


def names_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a manifest or a model's folder states."""
    return tuple(facts.get(FACT, ()))


def labels_of(classes: Sequence[str | None], names: Sequence[str]) -> Tensor:
    """(len(classes),) int64.

    Raises:
        KeyError: A class is not among the names.
    """
    places = {name: place for place, name in enumerate(names)}
    found = [len(names) if one is None else places[one] for one in classes]
    return torch.tensor(found, dtype=torch.int64)


def counted(labels: Tensor, names: Sequence[str]) -> str:
    """How many pictures each class has, for a person."""
    counts = Counter(labels.tolist())
    told = [f"{name} {counts[place]:,}" for place, name in enumerate(names)]
    without = counts[len(names)]
    return ", ".join(told) + (f"; {without:,} without a class" if without else "")
