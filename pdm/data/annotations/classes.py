"""Class names and class labels of images.

Manifests list the names, sorted. Networks are conditioned on labels: the index of a name in that
list. An image without a class has the label `len(names)`, the null class.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

FACT = "classes"  # key in manifests and model folders; absent if there are no classes


def names_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The class names in a manifest or in a model folder's facts."""
    return tuple(facts.get(FACT, ()))


def labels_of(classes: Sequence[str | None], names: Sequence[str]) -> Tensor:
    """The label of each class, (len(classes),) int64; None becomes the null class.

    Raises:
        KeyError: A class is not among the names.
    """
    label_of = {name: label for label, name in enumerate(names)}
    labels = [len(names) if name is None else label_of[name] for name in classes]
    return torch.tensor(labels, dtype=torch.int64)


def describe_counts(labels: Tensor, names: Sequence[str]) -> str:
    """The number of images of each class, as text for a log."""
    counts = Counter(labels.tolist())
    parts = [f"{name} {counts[label]:,}" for label, name in enumerate(names)]
    unlabelled = counts[len(names)]
    return ", ".join(parts) + (f"; {unlabelled:,} without a class" if unlabelled else "")
