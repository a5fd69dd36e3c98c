"""Counts of the boxes of finished crops, for the log, the manifest, the card and the report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdm.counts import counted
from pdm.data.annotations.boxes import DIGITS, Edges, LabelledBox, describe_left_out


@dataclass(slots=True)
class BoxCounts:
    """Boxes of some pictures.

    Attributes:
        by_class: Number of boxes of each class.
        num_pictures: Pictures with boxes.
        num_lost: Boxes that the crop shows by less than `pdm.data.annotations.boxes.MIN_BOX_SHARE`.
        most: Boxes of the picture with the most.
        left_out: Boxes of the sources that no picture gets, kept or not, by reason.
    """

    by_class: Counter[str] = field(default_factory=Counter)
    num_pictures: int = 0
    num_lost: int = 0
    most: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def num_boxes(self) -> int:
        """Boxes in all."""
        return self.by_class.total()

    def add(self, kept: Sequence[LabelledBox], num_lost: int) -> None:
        """Count the boxes of a picture."""
        self.by_class.update(box.class_name for box in kept)
        self.num_pictures += bool(kept)
        self.num_lost += num_lost
        self.most = max(self.most, len(kept))

    @property
    def left_out_text(self) -> str:
        """A sentence on what was left out of the sources' boxes; empty if nothing was."""
        if not self.left_out:
            return ""
        return f"When the sources were read, {describe_left_out(self.left_out)}."

    def describe(self) -> str:
        """One line for a log; empty if there is no box."""
        if not self.num_boxes + self.num_lost:
            return ""
        names = ", ".join(f"{name} {count:,}" for name, count in self.by_class.most_common())
        return (
            f"{counted(self.num_boxes, 'box', 'boxes')} on {counted(self.num_pictures, 'image')} "
            f"({names}); "
            f"{self.num_lost:,} left out, with less than a quarter in the crop"
        )


def join(counts: Iterable[BoxCounts], left_out: dict[str, int]) -> BoxCounts:
    """The counts of all shards together.

    Args:
        counts: Of each.
        left_out: See `BoxCounts`.
    """
    total = BoxCounts(left_out=left_out)
    for one in counts:
        total.by_class.update(one.by_class)
        total.num_pictures += one.num_pictures
        total.num_lost += one.num_lost
        total.most = max(total.most, one.most)
    return total


def fact_of(counts: BoxCounts, crops: Iterable[Edges]) -> dict[str, Any]:
    """What the manifest says of the boxes: the names of the classes, sorted, and the median of the
    crops, which is what a layout without a crop of its own is drawn at.

    Args:
        counts: Of all pictures.
        crops: Of all pictures.
    """
    middle = np.median(np.array(list(crops)), axis=0).round(DIGITS).tolist()
    return {"classes": sorted(counts.by_class), "crop": middle}
