"""Rectangular regions of maps (B, C, H, W): extend, halve, double, join and crop them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """A range of rows, or of columns, of a map."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of rows or columns."""
        return self.stop - self.start

    def grow(self, radius: int, side: int) -> "Span":
        """Extend by a margin on every side, clipped to the map."""
        return Span(max(self.start - radius, 0), min(self.stop + radius, side))

    def halve(self) -> "Span":
        """Return the part of a map of half the size that covers it."""
        return Span(self.start // 2, -(-self.stop // 2))

    def double(self) -> "Span":
        """Return the same part of a map of twice the size."""
        return Span(2 * self.start, 2 * self.stop)

    def union(self, other: "Span") -> "Span":
        """Return the smallest range that holds both."""
        return Span(min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a map, and the size of the whole map."""

    rows: Span
    columns: Span
    map_height: int
    map_width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the part."""
        return self.rows.length, self.columns.length

    def grow(self, radius: int) -> "Region":
        """Extend by a margin on every side, clipped to the map."""
        rows, columns = (
            self.rows.grow(radius, self.map_height),
            self.columns.grow(radius, self.map_width),
        )
        return Region(rows, columns, self.map_height, self.map_width)

    def halve(self) -> "Region":
        """Return the part of the map of half the size that covers it."""
        sides = self.map_height // 2, self.map_width // 2
        return Region(self.rows.halve(), self.columns.halve(), *sides)

    def double(self) -> "Region":
        """Return the same part of the map of twice the size."""
        return Region(
            self.rows.double(), self.columns.double(), 2 * self.map_height, 2 * self.map_width
        )

    def union(self, other: "Region") -> "Region":
        """Return the smallest region of the map that holds both."""
        rows, columns = self.rows.union(other.rows), self.columns.union(other.columns)
        return Region(rows, columns, self.map_height, self.map_width)

    def of(self, whole: Tensor) -> Tensor:
        """Crop this region out of a whole map (B, C, H, W), as a view."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.start : rows.stop, columns.start : columns.stop]

    def crop_within(self, part: Tensor, outer: "Region") -> Tensor:
        """Crop this region out of `part`, which holds the region `outer` of the map."""
        top, left = self.rows.start - outer.rows.start, self.columns.start - outer.columns.start
        height, width = self.size
        return part[:, :, top : top + height, left : left + width]


def random_region(size: tuple[int, int], side: int, generator: torch.Generator) -> Region | None:
    """Draw a region of a map, at most `side` wide and high; None for all of a map that fits.

    Args:
        size: (H, W) of the map.
        side: Largest side of the region.
        generator: On the CPU.
    """
    if max(size) <= side:
        return None
    spans = []
    for whole in size:
        start = int(torch.randint(max(whole - side, 0) + 1, (), generator=generator))
        spans.append(Span(start, start + min(side, whole)))
    rows, columns = spans
    return Region(rows, columns, *size)


def tile_regions(height: int, width: int, side: int) -> Iterator[Region]:
    """Yield regions that cover a map without overlap, row by row."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            rows, columns = (
                Span(top, min(top + side, height)),
                Span(left, min(left + side, width)),
            )
            yield Region(rows, columns, height, width)
